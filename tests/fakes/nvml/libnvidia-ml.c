/* A stand-in for NVIDIA's libnvidia-ml.so.1 that plays the script FORESCALE_FAKE_NVML names.
 *
 * The script is read again whenever it changes, also while the program runs. One statement a line:
 *   driver VERSION                   what nvmlSystemGetDriverVersion says
 *   init CODE                        what nvmlInitWithFlags returns (9: driver not loaded)
 *   log PATH                         append "init PID" and "shutdown PID" there
 *   gpu UUID [busy=PERCENT] [memory_busy=PERCENT] [total=BYTES] [used=BYTES] [reserved=BYTES]
 *            [power=MILLIWATTS] [lost=1] [name=WORDS TO THE END OF THE LINE]
 *   process UUID PID BYTES           one compute process on that GPU
 *   gpm UUID METRIC_ID VALUE         one GPM metric; a GPU without any does not support GPM
 *   error CALL CODE [UUID]           that call returns CODE (for one GPU, or for all)
 *   hang CALL [UUID]                 that call never returns
 *   crash CALL [UUID]                that call ends the process by SIGSEGV
 * Without a script, nvmlInitWithFlags returns 9. CALL is the name of the C symbol. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
enum { MAX = 64, TEXT = 96 };
typedef unsigned long long u64;
typedef struct { char uuid[TEXT], name[TEXT]; unsigned busy, memory_busy, power, lost; u64 total, used, reserved; } Gpu;
typedef struct { char verb, call[TEXT], uuid[TEXT]; int code; } Rule;
typedef struct { char uuid[TEXT]; unsigned id; double value; u64 bytes; } Entry;
typedef struct { char uuid[TEXT]; } Slot; /* a handle: stays valid, its GPU may leave the script */

static struct {
    char driver[TEXT], log[512];
    int init, gpus, rules, processes, metrics;
    Gpu gpu[MAX]; Rule rule[MAX]; Entry process[MAX], metric[MAX];
} script;
static Slot slots[MAX];
static int references;
static struct stat seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void copy_text(char *to, const char *from) { snprintf(to, TEXT, "%s", from); }

static u64 figure(const char *line, const char *key, u64 otherwise) {
    const char *at = strstr(line, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : otherwise;
}

static void read_gpu(const char *line, const char *uuid) {
    if (script.gpus == MAX) return;
    Gpu *gpu = &script.gpu[script.gpus++];
    const char *name = strstr(line, " name=");
    copy_text(gpu->uuid, uuid);
    copy_text(gpu->name, name ? name + 6 : "NVIDIA H100 80GB HBM3");
    gpu->busy = figure(line, " busy=", 0);
    gpu->memory_busy = figure(line, " memory_busy=", 0);
    gpu->total = figure(line, " total=", 85520809984ULL);
    gpu->used = figure(line, " used=", 0);
    gpu->reserved = figure(line, " reserved=", 0);
    gpu->power = figure(line, " power=", 70000);
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

static void read_entry(Entry *list, int *count, const char *uuid, const char *id, const char *value) {
    if (*count == MAX) return;
    Entry *entry = &list[(*count)++];
    copy_text(entry->uuid, uuid);
    entry->id = strtoul(id, NULL, 10);
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
    else if (!strcmp(verb, "gpu")) read_gpu(line, a);
    else if (!strcmp(verb, "process")) read_entry(script.process, &script.processes, a, b, c);
    else if (!strcmp(verb, "gpm")) read_entry(script.metric, &script.metrics, a, b, c);
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

static int rule_for(const char *call, const char *uuid) { /* does what the script says of this call */
    Rule found = {0};
    pthread_mutex_lock(&lock);
    reload();
    for (int i = 0; i < script.rules; i++) {
        Rule *rule = &script.rule[i];
        if (!strcmp(rule->call, call) && (!rule->uuid[0] || !strcmp(rule->uuid, uuid))) found = *rule;
    }
    pthread_mutex_unlock(&lock);
    while (found.verb == 'h') pause();
    if (found.verb == 'c') raise(SIGSEGV);
    return found.code;
}

static int enter(const char *call) {
    if (!references) return UNINITIALIZED;
    return rule_for(call, "");
}

static int device(const char *call, Slot *slot, Gpu *gpu) { /* a copy of the handle's GPU as scripted now */
    if (!references) return UNINITIALIZED;
    if (!slot) return INVALID_ARGUMENT;
    int code = rule_for(call, slot->uuid), found = 0;
    if (code) return code;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < script.gpus; i++)
        if (!strcmp(script.gpu[i].uuid, slot->uuid)) { *gpu = script.gpu[i]; found = 1; }
    pthread_mutex_unlock(&lock);
    return found && !gpu->lost ? OK : GPU_IS_LOST;
}

static int slot_of(const char *uuid, Slot **slot) {
    for (int i = 0; i < MAX; i++) {
        if (!slots[i].uuid[0]) copy_text(slots[i].uuid, uuid);
        if (!strcmp(slots[i].uuid, uuid)) { *slot = &slots[i]; return OK; }
    }
    return NOT_FOUND;
}

static void note(const char *what) {
    FILE *file = script.log[0] ? fopen(script.log, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s %d\n", what, getpid());
    fclose(file);
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = rule_for("nvmlInitWithFlags", "");
    if (code || script.init) return code ? code : script.init;
    references++;
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
int nvmlDeviceGetName(Slot *slot, char *text, unsigned length) {
    Gpu gpu;
    int code = device("nvmlDeviceGetName", slot, &gpu);
    if (!code) snprintf(text, length, "%s", gpu.name);
    return code;
}
int nvmlDeviceGetUtilizationRates(Slot *slot, unsigned *rates) {
    Gpu gpu;
    int code = device("nvmlDeviceGetUtilizationRates", slot, &gpu);
    if (!code) { rates[0] = gpu.busy; rates[1] = gpu.memory_busy; }
    return code;
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
    int code = device("nvmlDeviceGetPowerUsage", slot, &gpu);
    if (!code) *milliwatts = gpu.power;
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
int nvmlGpmQueryDeviceSupport(Slot *slot, unsigned *support) { /* version, supported */
    Gpu gpu;
    int code = device("nvmlGpmQueryDeviceSupport", slot, &gpu);
    if (code) return code;
    support[1] = 0;
    for (int i = 0; i < script.metrics; i++) support[1] |= !strcmp(script.metric[i].uuid, gpu.uuid);
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
typedef struct { unsigned id; int code; double value; const char *text[3]; } Metric;
typedef struct { unsigned version, count; Slot *first, *second; Metric metric[]; } Metrics;
int nvmlGpmMetricsGet(Metrics *asked) { /* touches `count` entries only: the array's length differs by version */
    int code = enter("nvmlGpmMetricsGet");
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
