# The image of /opt/forescale. Its root is the folder's content, so that it serves as an image volume
# mounted at /opt/forescale and as the source of `COPY --from=forescale-opt:0.1.0 / /opt/forescale`.
#
#   bash scripts/opt.sh && docker build -t forescale-opt:0.1.0 -f scripts/opt.Dockerfile build/opt/forescale
FROM scratch
COPY . /
