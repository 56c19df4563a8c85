/* The script: what the stand-in NVML plays, and the rules that each call obeys. See script.c. */
#ifndef FORESCALE_FAKE_SCRIPT_H
#define FORESCALE_FAKE_SCRIPT_H

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMED_OUT = 10, GPU_IS_LOST = 15 };
enum { MAX = 64, MAX_SAMPLES = 512, TEXT = 96 };
typedef unsigned long long u64;

typedef struct {
    char uuid[TEXT], name[TEXT], parent[TEXT]; /* a MIG instance has a parent */
    unsigned busy, memory_busy, power, limit, lost, clock, mig, gi, ci;
    u64 total, used, reserved, energy, reasons, uncorrected, remapped, remap_pending, remap_failed;
} Gpu;
typedef struct { char verb, call[TEXT], uuid[TEXT]; int code; } Rule;
typedef struct { char uuid[TEXT]; unsigned id; double value; u64 bytes, at; } Entry;
typedef struct { char uuid[TEXT]; } Slot; /* a handle: stays valid, its GPU may leave the script */

typedef struct {
    char driver[TEXT], log[512], trace[512];
    int init, gpus, instances, rules, processes, metrics, samples, xids;
    Gpu gpu[MAX], instance[MAX];
    Rule rule[MAX];
    Entry process[MAX], metric[MAX_SAMPLES], sample[MAX_SAMPLES], xid[MAX];
} Script;

extern Script script;
extern int references; /* nvmlInit less nvmlShutdown */

void take_lock(void);
void drop_lock(void);
int rule_for(const char *call, const char *uuid); /* does what the script says of this call */
int enter(const char *call);                      /* the same, for a call that names no GPU */
int device(const char *call, Slot *slot, Gpu *gpu); /* a copy of the handle's GPU as scripted now */
int slot_of(const char *uuid, Slot **slot);
void copy_text(char *to, const char *from);
void note(const char *what);

#endif
