/* The calls of GPM, the performance monitor of Hopper and newer, for a GPU and for a GPU instance. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

typedef struct { unsigned id; int code; double value; const char *text[3]; } Metric;
typedef struct { unsigned version, count; Slot *first, *second; Metric metric[]; } Metrics;

static int tells(const char *uuid) {
    for (int i = 0; i < script.metrics; i++)
        if (!strcmp(script.metric[i].uuid, uuid)) return 1;
    return 0;
}
int nvmlGpmQueryDeviceSupport(Slot *slot, unsigned *support) { /* version, supported */
    Gpu gpu;
    int code = device("nvmlGpmQueryDeviceSupport", slot, &gpu);
    if (code) return code;
    support[1] = tells(gpu.uuid);
    for (int i = 0; i < script.instances; i++)
        support[1] |= !strcmp(script.instance[i].parent, gpu.uuid) && tells(script.instance[i].uuid);
    return OK;
}
int nvmlGpmSampleAlloc(Slot **sample) {
    int code = enter("nvmlGpmSampleAlloc");
    if (!code) *sample = calloc(1, sizeof **sample);
    return code;
}
int nvmlGpmSampleFree(Slot *sample) { free(sample); return OK; }
int nvmlGpmSampleGet(Slot *slot, Slot *sample) {
    Gpu gpu;
    int code = device("nvmlGpmSampleGet", slot, &gpu);
    if (!code) copy_text(sample->uuid, gpu.uuid);
    return code;
}
int nvmlGpmMigSampleGet(Slot *slot, unsigned gpu_instance, Slot *sample) {
    Gpu gpu;
    int code = device("nvmlGpmMigSampleGet", slot, &gpu);
    for (int i = 0; !code && i < script.instances; i++) {
        Gpu *instance = &script.instance[i];
        if (strcmp(instance->parent, gpu.uuid) || instance->gi != gpu_instance) continue;
        copy_text(sample->uuid, instance->uuid);
        return OK;
    }
    return code ? code : INVALID_ARGUMENT;
}
int nvmlGpmMetricsGet(Metrics *asked) { /* touches `count` entries only: the array's length differs by version */
    int code = enter("nvmlGpmMetricsGet");
    if (!code && strcmp(asked->first->uuid, asked->second->uuid)) return INVALID_ARGUMENT;
    for (unsigned n = 0; !code && n < asked->count; n++) {
        asked->metric[n].code = NOT_SUPPORTED;
        for (int i = 0; i < script.metrics; i++)
            if (script.metric[i].id == asked->metric[n].id && !strcmp(script.metric[i].uuid, asked->second->uuid)) {
                asked->metric[n].code = OK;
                asked->metric[n].value = script.metric[i].value;
            }
    }
    return code;
}
