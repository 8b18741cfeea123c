#include "decode.h"

#include <capstone/capstone.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// An instruction that the decoder has measured. How long it is depends on its bytes alone; and functions begin with the same few
// instructions, of which the decoder also writes the text, which nobody asks for here.
typedef struct known_length {
    uint8_t code[15];
    uint8_t length;            // 0 for none
} known_length;

enum {
    LONGEST_KNOWN = sizeof ((known_length *)0)->code,
    KNOWN_LENGTHS = 256,       // a power of two
};

// The first instruction that a Capstone 4 handle decodes costs 9 µs (it builds an index), the next ones 0.3 µs. So a
// thread keeps its handles until it ends. They are kept per thread because a handle must not be used by two at once.
typedef struct decoder {
    csh handle;
    cs_insn *instruction;
    known_length *known;       // KNOWN_LENGTHS of them; NULL without memory
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
        free(all->of[i].known);
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
    wanted->known = calloc(KNOWN_LENGTHS, sizeof *wanted->known);
    return wanted;
}

static const cs_insn *decode(decoder *decoder, const uint8_t *code, size_t length, uint64_t address) {
    if (decoder == NULL || length == 0) return NULL;
    if (!cs_disasm_iter(decoder->handle, &code, &length, &address, decoder->instruction)) return NULL;
    return decoder->instruction;
}

// Where it is kept that these bytes are one instruction. `wanted` becomes what stands there then.
static known_length *place_of(const decoder *decoder, const uint8_t *code, size_t length, known_length *wanted) {
    if (decoder == NULL || decoder->known == NULL || length == 0 || length > LONGEST_KNOWN) return NULL;
    memset(wanted, 0, sizeof *wanted);
    memcpy(wanted->code, code, length);
    wanted->length = (uint8_t)length;
    uint64_t words[2];
    memcpy(words, wanted, sizeof words);
    uint64_t hash = (words[0] ^ words[1] * 0x9e3779b97f4a7c15) * 0x9e3779b97f4a7c15;
    return &decoder->known[hash >> 56 & (KNOWN_LENGTHS - 1)];
}

size_t hp_decoded_length(hp_arch arch, const uint8_t *code, size_t length, uint64_t address) {
    decoder *decoder = decoder_for(arch);
    known_length wanted;
    known_length *known = place_of(decoder, code, length, &wanted);
    if (known != NULL && memcmp(known, &wanted, sizeof wanted) == 0) return length;
    const cs_insn *instruction = decode(decoder, code, length, address);
    if (instruction == NULL) return 0;
    if (known != NULL && instruction->size == length) *known = wanted;
    return instruction->size;
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
    const cs_insn *instruction = decode(decoder_for(arch), code, length, address);
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
