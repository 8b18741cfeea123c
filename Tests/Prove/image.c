// A binary as it would be loaded, without its relocations, and where its functions start: what .eh_frame_hdr says, which
// covers stripped files too, and symbols. Binaries are the installed ones, and still nothing is read outside of their bytes.
#include "prove.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 0x10000 };

static const uint8_t *at(const image *image, uint64_t address, size_t length) {
    uint64_t offset = address - image->base;
    return offset < image->size && length <= image->size - offset ? image->memory + offset : NULL;
}

static uint32_t word_at(const image *image, uint64_t address) {
    uint32_t word = 0;
    const uint8_t *bytes = at(image, address, sizeof word);
    if (bytes != NULL) memcpy(&word, bytes, sizeof word);
    return word;
}

static void add_function(image *image, size_t *capacity, uint64_t address, uint64_t length) {
    if (address < image->text_start || address >= image->text_end) return;
    if (image->function_count == *capacity) {
        *capacity = *capacity == 0 ? 4096 : *capacity * 2;
        image->functions = realloc(image->functions, *capacity * sizeof(function));
        if (image->functions == NULL) abort();
    }
    uint32_t known = length < UINT32_MAX ? (uint32_t)length : 0;
    image->functions[image->function_count++] = (function){.address = address, .length = known};
}

// ---------------------------------------------------------------------------------------------------------
// Frame descriptions (LSB Core, "The .eh_frame section"): only what linkers write today.

// Bytes of a pointer in the descriptions that belong to this common entry; 0: none of the known encodings.
static size_t pointer_size(const image *image, uint64_t common) {
    const uint8_t *bytes = at(image, common, 32);
    if (bytes == NULL || memcmp(bytes, "\xff\xff\xff\xff", 4) == 0 || bytes[8] != 1) return 0;
    const char *augmentation = (const char *)bytes + 9;
    size_t end = strnlen(augmentation, 8);
    if (end == 0) return 8;
    if (end == 8 || augmentation[0] != 'z') return 0;
    const uint8_t *field = bytes + 9 + end + 1;
    for (int skipped = 0; skipped < 4 && field < bytes + 24; skipped++) {   // alignments, return register, length
        while (field < bytes + 24 && (*field & 0x80) != 0) field++;
        field++;
    }
    for (const char *letter = augmentation + 1; *letter != '\0' && field < bytes + 32; letter++) {
        if (*letter == 'R') return (*field & 7) == 3 ? 4 : (*field & 7) == 0 || (*field & 7) == 4 ? 8 : 0;
        if (*letter == 'L') field++;
        else if (*letter == 'P') field += 1 + ((*field & 7) == 3 ? 4 : 8);
        else if (*letter != 'S' && *letter != 'B') return 0;
    }
    return 8;
}

static uint64_t described_length(const image *image, uint64_t description) {
    if (word_at(image, description) == UINT32_MAX) return 0;
    size_t size = pointer_size(image, description + 4 - word_at(image, description + 4));
    uint64_t length = 0;
    const uint8_t *bytes = at(image, description + 8 + size, size);
    if (size != 0 && bytes != NULL) memcpy(&length, bytes, size);
    return length;
}

static void read_descriptions(image *image, size_t *capacity, const GElf_Phdr *header) {
    uint64_t table = header->p_vaddr;
    if ((word_at(image, table) & 0xffff00ff) != 0x3b030001) return;   // version 1, udata4, datarel sdata4
    uint32_t count = word_at(image, table + 8);
    for (uint32_t i = 0; i < count && i < header->p_filesz / 8; i++) {
        uint64_t entry = table + 12 + 8 * (uint64_t)i;
        uint64_t start = table + (uint64_t)(int64_t)(int32_t)word_at(image, entry);
        uint64_t description = table + (uint64_t)(int64_t)(int32_t)word_at(image, entry + 4);
        add_function(image, capacity, start, described_length(image, description));
    }
}

static void read_symbols(image *image, size_t *capacity, Elf *elf) {
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
        Elf_Data *data = elf_getdata(section, NULL);
        if (data == NULL) continue;
        for (int i = 0; i < (int)(data->d_size / sizeof(Elf64_Sym)); i++) {
            GElf_Sym symbol;
            if (gelf_getsym(data, i, &symbol) == NULL || symbol.st_shndx == SHN_UNDEF) continue;
            unsigned type = GELF_ST_TYPE(symbol.st_info);
            if (type != STT_FUNC && type != STT_GNU_IFUNC) continue;
            add_function(image, capacity, symbol.st_value, symbol.st_size);
        }
    }
}

static int by_address(const void *left, const void *right) {
    const function *a = left, *b = right;
    if (a->address != b->address) return a->address < b->address ? -1 : 1;
    return a->length > b->length ? -1 : a->length < b->length;         // a known length first
}

// ---------------------------------------------------------------------------------------------------------

static void read_build_id(image *image, const GElf_Phdr *header) {
    uint64_t note = header->p_vaddr, end = note + header->p_filesz;
    while (note + 12 < end) {
        uint32_t name = word_at(image, note), length = word_at(image, note + 4);
        const uint8_t *bytes = at(image, note + 12 + ((name + 3) & ~3u), length);
        if (bytes == NULL) return;
        if (word_at(image, note + 8) == NT_GNU_BUILD_ID && name == 4) {
            for (uint32_t i = 0; i < length && i < 20; i++) snprintf(image->build_id + 2 * i, 3, "%02x", bytes[i]);
            return;
        }
        note += 12 + ((name + 3) & ~3u) + ((length + 3) & ~3u);
    }
}

static bool load_segments(image *image, Elf *elf, size_t count, const uint8_t *file, size_t file_size) {
    uint64_t low = UINT64_MAX, high = 0;
    GElf_Phdr header;
    image->text_start = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (gelf_getphdr(elf, (int)i, &header) == NULL || header.p_type != PT_LOAD) continue;
        if (header.p_memsz > 1ull << 31 || header.p_offset > file_size || header.p_filesz > file_size - header.p_offset) {
            return false;
        }
        if (header.p_vaddr < low) low = header.p_vaddr;
        if (header.p_vaddr + header.p_memsz > high) high = header.p_vaddr + header.p_memsz;
        if ((header.p_flags & PF_X) == 0) continue;
        if (header.p_vaddr < image->text_start) image->text_start = header.p_vaddr;
        if (header.p_vaddr + header.p_filesz > image->text_end) image->text_end = header.p_vaddr + header.p_filesz;
    }
    if (high <= low || high - low > 1ull << 31 || image->text_end == 0) return false;
    image->base = low & ~(uint64_t)(PAGE - 1);
    image->size = (high - image->base + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    image->memory_file = memfd_create("image", MFD_CLOEXEC);
    if (image->memory_file < 0 || ftruncate(image->memory_file, (off_t)image->size) != 0) return false;
    image->memory = mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_SHARED, image->memory_file, 0);
    if (image->memory == MAP_FAILED) return false;
    for (size_t i = 0; i < count; i++) {
        if (gelf_getphdr(elf, (int)i, &header) == NULL || header.p_type != PT_LOAD) continue;
        if (header.p_filesz <= header.p_memsz) {
            memcpy(image->memory + (header.p_vaddr - image->base), file + header.p_offset, header.p_filesz);
        }
    }
    return true;
}

static bool load(image *image, Elf *elf, const uint8_t *file, size_t file_size) {
    GElf_Ehdr header;
    size_t count = 0, capacity = 0;
    if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == NULL || gelf_getclass(elf) != ELFCLASS64) return false;
    if (header.e_type != ET_DYN && header.e_type != ET_EXEC) return false;
    if (header.e_machine != EM_X86_64 && header.e_machine != EM_AARCH64) return false;
    image->arch = header.e_machine == EM_X86_64 ? HP_ARCH_X86_64 : HP_ARCH_ARM64;
    image->is_fixed = header.e_type == ET_EXEC;
    if (elf_getphdrnum(elf, &count) != 0 || !load_segments(image, elf, count, file, file_size)) return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(elf, (int)i, &segment) == NULL) continue;
        if (segment.p_type == PT_GNU_EH_FRAME) read_descriptions(image, &capacity, &segment);
        if (segment.p_type == PT_NOTE) read_build_id(image, &segment);
    }
    read_symbols(image, &capacity, elf);
    return true;
}

// Unites what starts at one address, and gives each start the room up to the next.
static void order_functions(image *image) {
    if (image->function_count == 0) return;
    qsort(image->functions, image->function_count, sizeof *image->functions, by_address);
    size_t kept = 0;
    for (size_t i = 1; i < image->function_count; i++) {
        if (image->functions[i].address != image->functions[kept].address) {
            image->functions[++kept] = image->functions[i];
        }
    }
    image->function_count = kept + 1;
    for (size_t i = 0; i < image->function_count; i++) {
        function *function = &image->functions[i];
        uint64_t end = i + 1 < image->function_count ? image->functions[i + 1].address : image->text_end;
        function->available = end - function->address < UINT32_MAX ? (uint32_t)(end - function->address) : UINT32_MAX;
    }
}

bool image_load(image *image, const char *path, const char *name) {
    memset(image, 0, sizeof *image);
    image->memory_file = -1;
    snprintf(image->path, sizeof image->path, "%s", name);
    snprintf(image->build_id, sizeof image->build_id, "none");
    int file = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    uint8_t *bytes = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
    if (file >= 0) close(file);
    if (bytes == MAP_FAILED) {
        fprintf(stderr, "error: %s cannot be read.\n", path);
        return false;
    }
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)bytes, (size_t)size);
    bool loaded = elf != NULL && load(image, elf, bytes, (size_t)size);
    if (elf != NULL) elf_end(elf);
    munmap(bytes, (size_t)size);
    if (!loaded) fprintf(stderr, "error: %s is no program or library for x86_64 or arm64.\n", path);
    order_functions(image);
    return loaded;
}

void image_free(image *image) {
    if (image->memory != NULL && image->memory != MAP_FAILED) munmap(image->memory, image->size);
    if (image->memory_file >= 0) close(image->memory_file);
    free(image->functions);
}
