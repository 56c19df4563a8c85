/* The calls that tell of faults: memory errors, remapped rows, XIDs. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

typedef struct { int listens, told; } Events; /* `told`: how many lines of the script were told */
typedef struct { Slot *device; u64 type, data; unsigned gpu_instance, compute_instance; } Event;
enum { XID_CRITICAL = 8 };

int nvmlDeviceGetTotalEccErrors(Slot *slot, int error, int counter, u64 *count) {
    Gpu gpu;
    int code = device("nvmlDeviceGetTotalEccErrors", slot, &gpu);
    if (!code) *count = error == 1 && counter == 0 ? gpu.uncorrected : 0; /* uncorrected, volatile */
    return code;
}
int nvmlDeviceGetRemappedRows(Slot *slot, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    Gpu gpu;
    int code = device("nvmlDeviceGetRemappedRows", slot, &gpu);
    if (code) return code;
    *corrected = 0;
    *uncorrected = gpu.remapped;
    *pending = gpu.remap_pending;
    *failed = gpu.remap_failed;
    return OK;
}
int nvmlEventSetCreate(Events **events) {
    int code = enter("nvmlEventSetCreate");
    if (code) return code;
    *events = calloc(1, sizeof **events);
    (*events)->told = script.xids; /* what came before nobody listened to */
    return OK;
}
int nvmlEventSetFree(Events *events) { free(events); return OK; }
int nvmlDeviceRegisterEvents(Slot *slot, u64 types, Events *events) {
    Gpu gpu;
    int code = device("nvmlDeviceRegisterEvents", slot, &gpu);
    if (!code) events->listens |= (types & XID_CRITICAL) != 0;
    return code;
}
int nvmlEventSetWait_v2(Events *events, Event *event, unsigned milliseconds) {
    (void)milliseconds;
    int code = enter("nvmlEventSetWait_v2");
    if (code) return code;
    if (!events->listens || events->told >= script.xids) return TIMED_OUT;
    Entry *xid = &script.xid[events->told++];
    memset(event, 0, sizeof *event);
    event->type = XID_CRITICAL;
    event->data = xid->id;
    event->gpu_instance = event->compute_instance = ~0U;
    return slot_of(xid->uuid, &event->device);
}
