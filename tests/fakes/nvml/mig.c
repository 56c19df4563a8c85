/* The calls about MIG: whether a GPU is split, and where its instances are. */
#include "script.h"

#include <string.h>

enum { PLACES = 8 };

int nvmlDeviceGetMigMode(Slot *slot, unsigned *current, unsigned *pending) {
    Gpu gpu;
    int code = device("nvmlDeviceGetMigMode", slot, &gpu);
    if (!code) *current = *pending = gpu.mig;
    return code;
}
int nvmlDeviceGetMaxMigDeviceCount(Slot *slot, unsigned *count) {
    Gpu gpu;
    int code = device("nvmlDeviceGetMaxMigDeviceCount", slot, &gpu);
    if (!code) *count = gpu.mig ? PLACES : 0;
    return code;
}
int nvmlDeviceGetMigDeviceHandleByIndex(Slot *slot, unsigned index, Slot **found) {
    Gpu gpu;
    unsigned place = 0;
    int code = device("nvmlDeviceGetMigDeviceHandleByIndex", slot, &gpu);
    for (int i = 0; !code && i < script.instances; i++) {
        Gpu *instance = &script.instance[i];
        if (strcmp(instance->parent, gpu.uuid)) continue;
        unsigned at = place ? place + 1 : 0; /* the second place is a hole, as after an instance was destroyed */
        place++;
        if (at == index) return slot_of(instance->uuid, found);
    }
    return code ? code : NOT_FOUND;
}
int nvmlDeviceGetGpuInstanceId(Slot *slot, unsigned *id) {
    Gpu gpu;
    int code = device("nvmlDeviceGetGpuInstanceId", slot, &gpu);
    if (!code && !gpu.parent[0]) return NOT_SUPPORTED;
    if (!code) *id = gpu.gi;
    return code;
}
int nvmlDeviceGetComputeInstanceId(Slot *slot, unsigned *id) {
    Gpu gpu;
    int code = device("nvmlDeviceGetComputeInstanceId", slot, &gpu);
    if (!code && !gpu.parent[0]) return NOT_SUPPORTED;
    if (!code) *id = gpu.ci;
    return code;
}
