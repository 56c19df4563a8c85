# The same with the sidecar inside, where its GPUs are (docs/gpus.md):
# docker build -f wrapped.Dockerfile -t my-llm-service:1.0-forescale .
FROM my-llm-service:1.0

# The sidecar with an interpreter of its own, made by scripts/opt.sh and scripts/opt.Dockerfile.
COPY --from=forescale-opt:0.1.0 / /opt/forescale
EXPOSE 9401

ENTRYPOINT ["/opt/forescale/bin/forescale-sidecar", "run", "--"]
# An image that sets ENTRYPOINT loses the CMD of the one below it.
CMD ["python3", "app.py"]
