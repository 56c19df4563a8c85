/* The calls that concern NVML as a whole, and those that find a GPU. */
#include "script.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = rule_for("nvmlInitWithFlags", "");
    if (code || script.init) return code ? code : script.init;
    references++;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* for tests/sidecar/unkillable.py */
    note("init");
    return OK;
}
int nvmlShutdown(void) {
    if (!references) return UNINITIALIZED;
    int code = rule_for("nvmlShutdown", "");
    if (code) return code;
    references--;
    note("shutdown");
    return OK;
}
const char *nvmlErrorString(int code) { return code ? "scripted error" : "Success"; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    int code = enter("nvmlSystemGetDriverVersion");
    if (!code) snprintf(text, length, "%s", script.driver);
    return code;
}
int nvmlSystemGetNVMLVersion(char *text, unsigned length) {
    int code = enter("nvmlSystemGetNVMLVersion");
    if (!code) snprintf(text, length, "13.%s", script.driver);
    return code;
}
int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = enter("nvmlDeviceGetCount_v2");
    if (!code) *count = script.gpus;
    return code;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Slot **slot) {
    int code = enter("nvmlDeviceGetHandleByIndex_v2");
    if (code) return code;
    if (index >= (unsigned)script.gpus) return INVALID_ARGUMENT;
    if (script.gpu[index].lost) return GPU_IS_LOST;
    code = rule_for("nvmlDeviceGetHandleByIndex_v2", script.gpu[index].uuid);
    return code ? code : slot_of(script.gpu[index].uuid, slot);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, Slot **slot) {
    int code = enter("nvmlDeviceGetHandleByUUID");
    for (int i = 0; !code && i < script.gpus; i++)
        if (!strcmp(script.gpu[i].uuid, uuid)) return script.gpu[i].lost ? GPU_IS_LOST : slot_of(uuid, slot);
    return code ? code : NOT_FOUND;
}
int nvmlDeviceGetUUID(Slot *slot, char *text, unsigned length) {
    Gpu gpu;
    int code = device("nvmlDeviceGetUUID", slot, &gpu);
    if (!code) snprintf(text, length, "%s", gpu.uuid);
    return code;
}
int nvmlDeviceGetMinorNumber(Slot *slot, unsigned *minor) { /* the place in the script; none on MIG */
    Gpu gpu;
    int code = device("nvmlDeviceGetMinorNumber", slot, &gpu);
    if (code) return code;
    for (int i = 0; i < script.gpus; i++)
        if (!strcmp(script.gpu[i].uuid, gpu.uuid)) { *minor = i; return OK; }
    return NOT_SUPPORTED;
}
int nvmlDeviceGetName(Slot *slot, char *text, unsigned length) {
    Gpu gpu;
    int code = device("nvmlDeviceGetName", slot, &gpu);
    if (!code) snprintf(text, length, "%s", gpu.name);
    return code;
}
