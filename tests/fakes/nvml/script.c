/* The script of the stand-in for NVIDIA's libnvidia-ml.so.1: FORESCALE_FAKE_NVML names its file.
 *
 * The script is read again whenever it changes, also while the program runs. One statement a line:
 *   driver VERSION                   what nvmlSystemGetDriverVersion says
 *   init CODE                        what nvmlInitWithFlags returns (9: driver not loaded)
 *   log PATH                         append "init PID" and "shutdown PID" there
 *   trace PATH                       append the name of each call there
 *   gpu UUID [busy=PERCENT] [memory_busy=PERCENT] [total=BYTES] [used=BYTES] [reserved=BYTES]
 *            [power=MILLIWATTS] [limit=MILLIWATTS] [energy=MILLIJOULES] [clock=MHZ] [reasons=BITS]
 *            [uncorrected=COUNT] [remapped=ROWS] [remap_pending=1] [remap_failed=1]
 *            [mig=1] [lost=1] [name=WORDS TO THE END OF THE LINE]
 *   instance UUID parent=UUID gi=ID ci=ID [total=BYTES] [used=BYTES]   a MIG instance of a GPU
 *   sample UUID MICROSECONDS PERCENT one entry of a GPU's utilisation ring; one without any has none
 *   process UUID PID BYTES           one compute process on that GPU
 *   gpm UUID METRIC_ID VALUE         one GPM metric; a GPU without any does not support GPM, and
 *                                    with the UUID of a MIG instance it is that of its GPU instance
 *   xid UUID CODE                    a critical XID; told once, when the line is new
 *   error CALL CODE [UUID]           that call returns CODE (for one GPU, or for all)
 *   hang CALL [UUID]                 that call never returns
 *   crash CALL [UUID]                that call ends the process by SIGSEGV
 * Without a script, nvmlInitWithFlags returns 9. CALL is the name of the C symbol. */
#include "script.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Script script;
int references;
static Slot slots[2 * MAX];
static struct stat seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void take_lock(void) { pthread_mutex_lock(&lock); }
void drop_lock(void) { pthread_mutex_unlock(&lock); }
void copy_text(char *to, const char *from) { snprintf(to, TEXT, "%s", from); }

static u64 figure(const char *line, const char *key, u64 otherwise) {
    const char *at = strstr(line, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : otherwise;
}

static void read_gpu(Gpu *list, int *count, const char *line, const char *uuid) {
    if (*count == MAX) return;
    Gpu *gpu = &list[(*count)++];
    const char *name = strstr(line, " name="), *parent = strstr(line, " parent=");
    copy_text(gpu->uuid, uuid);
    copy_text(gpu->name, name ? name + 6 : "NVIDIA H100 80GB HBM3");
    if (parent) sscanf(parent, " parent=%95s", gpu->parent);
    gpu->busy = figure(line, " busy=", 0);
    gpu->memory_busy = figure(line, " memory_busy=", 0);
    gpu->total = figure(line, " total=", 85520809984ULL);
    gpu->used = figure(line, " used=", 0);
    gpu->reserved = figure(line, " reserved=", 0);
    gpu->power = figure(line, " power=", 70000);
    gpu->limit = figure(line, " limit=", 700000);
    gpu->energy = figure(line, " energy=", 0);
    gpu->clock = figure(line, " clock=", 1980);
    gpu->reasons = figure(line, " reasons=", 0);
    gpu->uncorrected = figure(line, " uncorrected=", 0);
    gpu->remapped = figure(line, " remapped=", 0);
    gpu->remap_pending = figure(line, " remap_pending=", 0);
    gpu->remap_failed = figure(line, " remap_failed=", 0);
    gpu->mig = figure(line, " mig=", 0);
    gpu->gi = figure(line, " gi=", 0);
    gpu->ci = figure(line, " ci=", 0);
    gpu->lost = figure(line, " lost=", 0);
}

static void read_rule(char verb, const char *call, const char *second, const char *third) {
    if (script.rules == MAX) return;
    Rule *rule = &script.rule[script.rules++];
    rule->verb = verb;
    copy_text(rule->call, call);
    copy_text(rule->uuid, verb == 'e' ? third : second);
    rule->code = verb == 'e' ? atoi(second) : OK;
}

static void read_entry(Entry *list, int *count, int most, const char *uuid, const char *id, const char *value) {
    if (*count == most) return;
    Entry *entry = &list[(*count)++];
    copy_text(entry->uuid, uuid);
    entry->id = strtoul(id, NULL, 10);
    entry->at = strtoull(id, NULL, 10);
    entry->value = strtod(value, NULL);
    entry->bytes = strtoull(value, NULL, 10);
}

static void read_line(char *line) {
    char verb[TEXT] = "", a[TEXT] = "", b[TEXT] = "", c[TEXT] = "";
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%95s %95s %95s %95s", verb, a, b, c) < 2 || verb[0] == '#') return;
    if (!strcmp(verb, "driver")) copy_text(script.driver, a);
    else if (!strcmp(verb, "init")) script.init = atoi(a);
    else if (!strcmp(verb, "log")) snprintf(script.log, sizeof script.log, "%s", line + 4);
    else if (!strcmp(verb, "trace")) snprintf(script.trace, sizeof script.trace, "%s", line + 6);
    else if (!strcmp(verb, "gpu")) read_gpu(script.gpu, &script.gpus, line, a);
    else if (!strcmp(verb, "instance")) read_gpu(script.instance, &script.instances, line, a);
    else if (!strcmp(verb, "sample")) read_entry(script.sample, &script.samples, MAX_SAMPLES, a, b, c);
    else if (!strcmp(verb, "process")) read_entry(script.process, &script.processes, MAX, a, b, c);
    else if (!strcmp(verb, "gpm")) read_entry(script.metric, &script.metrics, MAX_SAMPLES, a, b, c);
    else if (!strcmp(verb, "xid")) read_entry(script.xid, &script.xids, MAX, a, b, c);
    else read_rule(verb[0], a, b, c);
}

static void reload(void) { /* the lock is held */
    const char *path = getenv("FORESCALE_FAKE_NVML");
    struct stat now;
    char line[512];
    if (!path || stat(path, &now)) {
        memset(&script, 0, sizeof script);
        script.init = DRIVER_NOT_LOADED;
        return;
    }
    if (now.st_ino == seen.st_ino && now.st_size == seen.st_size && now.st_mtim.tv_sec == seen.st_mtim.tv_sec
        && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec) return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    memset(&script, 0, sizeof script);
    copy_text(script.driver, "580.95.05");
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    seen = now;
}

static void append(const char *path, const char *what, int number) {
    FILE *file = path[0] ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, number ? "%s %d\n" : "%s\n", what, number);
    fclose(file);
}

void note(const char *what) { append(script.log, what, getpid()); }

int rule_for(const char *call, const char *uuid) {
    Rule found = {0};
    take_lock();
    reload();
    append(script.trace, call, 0);
    for (int i = 0; i < script.rules; i++) {
        Rule *rule = &script.rule[i];
        if (!strcmp(rule->call, call) && (!rule->uuid[0] || !strcmp(rule->uuid, uuid))) found = *rule;
    }
    drop_lock();
    while (found.verb == 'h') pause();
    if (found.verb == 'c') raise(SIGSEGV);
    return found.code;
}

int enter(const char *call) {
    if (!references) return UNINITIALIZED;
    return rule_for(call, "");
}

static int look_up(const char *uuid, Gpu *gpu) { /* the lock is held; a MIG instance's GPU may be lost */
    for (int i = 0; i < script.gpus; i++)
        if (!strcmp(script.gpu[i].uuid, uuid)) { *gpu = script.gpu[i]; return gpu->lost ? GPU_IS_LOST : OK; }
    for (int i = 0; i < script.instances; i++)
        if (!strcmp(script.instance[i].uuid, uuid)) {
            Gpu parent;
            int code = look_up(script.instance[i].parent, &parent);
            *gpu = script.instance[i];
            return code;
        }
    return !strncmp(uuid, "MIG-", 4) ? INVALID_ARGUMENT : GPU_IS_LOST; /* destroyed, or fallen off the bus */
}

int device(const char *call, Slot *slot, Gpu *gpu) {
    if (!references) return UNINITIALIZED;
    if (!slot) return INVALID_ARGUMENT;
    int code = rule_for(call, slot->uuid);
    if (code) return code;
    take_lock();
    code = look_up(slot->uuid, gpu);
    drop_lock();
    return code;
}

int slot_of(const char *uuid, Slot **slot) {
    for (int i = 0; i < 2 * MAX; i++) {
        if (!slots[i].uuid[0]) copy_text(slots[i].uuid, uuid);
        if (!strcmp(slots[i].uuid, uuid)) { *slot = &slots[i]; return OK; }
    }
    return NOT_FOUND;
}
