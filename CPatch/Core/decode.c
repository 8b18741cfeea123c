#include "decode.h"

#include <capstone/capstone.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// The first instruction that a Capstone 4 handle decodes costs 9 µs (it builds an index), the next ones 0.3 µs. So a
// thread keeps its handles until it ends. They are kept per thread because a handle must not be used by two at once.
typedef struct decoder {
    csh handle;
    cs_insn *instruction;
} decoder;

typedef struct decoders {
    decoder of[HP_ARCH_ARM64 + 1];
    bool ends_with_thread;
} decoders;

static _Thread_local decoders decoders_of_thread;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void close_decoders(void *value) {
    decoders *all = value;
    for (size_t i = 0; i < sizeof all->of / sizeof *all->of; i++) {
        if (all->of[i].instruction == NULL) continue;
        cs_free(all->of[i].instruction, 1);
        cs_close(&all->of[i].handle);
    }
    memset(all, 0, sizeof *all);
}

static void make_key(void) { has_key = pthread_key_create(&key, close_decoders) == 0; }

// NULL without memory, or where Capstone was built without this architecture: then nothing is decodable.
static decoder *decoder_for(hp_arch arch) {
    if (arch != HP_ARCH_X86_64 && arch != HP_ARCH_ARM64) return NULL;
    decoders *all = &decoders_of_thread;
    decoder *wanted = &all->of[arch];
    if (wanted->instruction != NULL) return wanted;

    if (!all->ends_with_thread) {
        pthread_once(&key_once, make_key);
        if (!has_key || pthread_setspecific(key, all) != 0) return NULL;
        all->ends_with_thread = true;
    }
    bool x86 = arch == HP_ARCH_X86_64;
    if (cs_open(x86 ? CS_ARCH_X86 : CS_ARCH_ARM64, x86 ? CS_MODE_64 : CS_MODE_ARM, &wanted->handle) != CS_ERR_OK) {
        return NULL;
    }
    wanted->instruction = cs_malloc(wanted->handle);
    if (wanted->instruction == NULL) {
        cs_close(&wanted->handle);
        return NULL;
    }
    return wanted;
}

static const cs_insn *decode(hp_arch arch, const uint8_t *code, size_t length, uint64_t address) {
    decoder *decoder = decoder_for(arch);
    if (decoder == NULL || length == 0) return NULL;
    if (!cs_disasm_iter(decoder->handle, &code, &length, &address, decoder->instruction)) return NULL;
    return decoder->instruction;
}

size_t hp_decoded_length(hp_arch arch, const uint8_t *code, size_t length, uint64_t address) {
    const cs_insn *instruction = decode(arch, code, length, address);
    return instruction == NULL ? 0 : instruction->size;
}

// Appends as much of `from` as fits, and keeps `text` terminated.
static size_t append(char *text, size_t capacity, size_t at, const char *from) {
    while (*from != '\0' && at + 1 < capacity) text[at++] = *from++;
    if (at < capacity) text[at] = '\0';
    return at;
}

size_t hp_disassemble(
    hp_arch arch, const uint8_t *code, size_t length, uint64_t address, char *text, size_t text_capacity
) {
    if (text_capacity > 0) text[0] = '\0';
    const cs_insn *instruction = decode(arch, code, length, address);
    if (instruction == NULL) {
        // An arm64 instruction is a word, and most that a decoder does not know are only newer than it.
        uint32_t word;
        if (arch != HP_ARCH_ARM64 || length < sizeof word) return 0;
        memcpy(&word, code, sizeof word);
        snprintf(text, text_capacity, ".word 0x%08x", word);
        return sizeof word;
    }
    size_t at = append(text, text_capacity, 0, instruction->mnemonic);
    if (instruction->op_str[0] != '\0') {
        at = append(text, text_capacity, at, " ");
        append(text, text_capacity, at, instruction->op_str);
    }
    return instruction->size;
}
