/* The calls that read one GPU's figures. What a GPU in MIG mode, or a MIG instance, does not tell
 * is NOT_SUPPORTED here as in nvml.h. */
#include "script.h"

#include <string.h>

static int whole(const char *call, Slot *slot, Gpu *gpu) { /* of a GPU, not of an instance */
    int code = device(call, slot, gpu);
    return code ? code : gpu->parent[0] ? NOT_SUPPORTED : OK;
}
static int unsplit(const char *call, Slot *slot, Gpu *gpu) { /* of a GPU that is not in MIG mode */
    int code = whole(call, slot, gpu);
    return code ? code : gpu->mig ? NOT_SUPPORTED : OK;
}

int nvmlDeviceGetUtilizationRates(Slot *slot, unsigned *rates) {
    Gpu gpu;
    int code = unsplit("nvmlDeviceGetUtilizationRates", slot, &gpu);
    if (!code) { rates[0] = gpu.busy; rates[1] = gpu.memory_busy; }
    return code;
}
int nvmlDeviceGetSamples(Slot *slot, int kind, u64 since, int *value_type, unsigned *count, u64 *samples) {
    Gpu gpu;
    unsigned found = 0, known = 0;
    int code = unsplit("nvmlDeviceGetSamples", slot, &gpu);
    for (int i = 0; !code && kind == 1 && i < script.samples; i++) {
        Entry *entry = &script.sample[i];
        if (strcmp(entry->uuid, gpu.uuid)) continue;
        known++;
        if (entry->at <= since) continue;
        if (samples) { samples[2 * found] = entry->at; samples[2 * found + 1] = entry->bytes; }
        found++;
    }
    if (code || !known) return code ? code : NOT_SUPPORTED;
    *value_type = 1; /* unsigned int */
    *count = found;
    return found ? OK : NOT_FOUND;
}
int nvmlDeviceGetMemoryInfo(Slot *slot, u64 *info) { /* v1: total, free, used with the reserved part */
    Gpu gpu;
    int code = device("nvmlDeviceGetMemoryInfo", slot, &gpu);
    if (code) return code;
    info[0] = gpu.total; info[2] = gpu.used + gpu.reserved; info[1] = gpu.total - info[2];
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(Slot *slot, u64 *info) { /* version, total, reserved, free, used */
    Gpu gpu;
    int code = device("nvmlDeviceGetMemoryInfo_v2", slot, &gpu);
    if (code) return code;
    info[1] = gpu.total; info[2] = gpu.reserved; info[4] = gpu.used;
    info[3] = gpu.total - gpu.reserved - gpu.used;
    return OK;
}
int nvmlDeviceGetPowerUsage(Slot *slot, unsigned *milliwatts) {
    Gpu gpu;
    int code = whole("nvmlDeviceGetPowerUsage", slot, &gpu);
    if (!code) *milliwatts = gpu.power;
    return code;
}
int nvmlDeviceGetEnforcedPowerLimit(Slot *slot, unsigned *milliwatts) {
    Gpu gpu;
    int code = whole("nvmlDeviceGetEnforcedPowerLimit", slot, &gpu);
    if (!code) *milliwatts = gpu.limit;
    return code;
}
int nvmlDeviceGetTotalEnergyConsumption(Slot *slot, u64 *millijoules) {
    Gpu gpu;
    int code = whole("nvmlDeviceGetTotalEnergyConsumption", slot, &gpu);
    if (!code) *millijoules = gpu.energy;
    return code;
}
int nvmlDeviceGetClockInfo(Slot *slot, int kind, unsigned *mhz) {
    Gpu gpu;
    int code = whole("nvmlDeviceGetClockInfo", slot, &gpu);
    if (!code) *mhz = kind == 1 ? gpu.clock : 2619; /* 1 is the multiprocessors' */
    return code;
}
int nvmlDeviceGetCurrentClocksEventReasons(Slot *slot, u64 *bits) {
    Gpu gpu;
    int code = whole("nvmlDeviceGetCurrentClocksEventReasons", slot, &gpu);
    if (!code) *bits = gpu.reasons;
    return code;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(Slot *slot, u64 *bits) { /* the older name */
    Gpu gpu;
    int code = whole("nvmlDeviceGetCurrentClocksThrottleReasons", slot, &gpu);
    if (!code) *bits = gpu.reasons;
    return code;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Slot *slot, unsigned *count, u64 *infos) {
    Gpu gpu;
    unsigned room = *count, found = 0;
    int code = device("nvmlDeviceGetComputeRunningProcesses_v3", slot, &gpu);
    for (int i = 0; !code && i < script.processes; i++) {
        if (strcmp(script.process[i].uuid, gpu.uuid)) continue;
        if (found < room) { /* 24 bytes each: pid, used bytes, GPU and compute instance (none) */
            infos[3 * found] = script.process[i].id;
            infos[3 * found + 1] = script.process[i].bytes;
            infos[3 * found + 2] = ~0ULL;
        }
        found++;
    }
    if (!code) *count = found;
    return code ? code : found > room ? INSUFFICIENT_SIZE : OK;
}
