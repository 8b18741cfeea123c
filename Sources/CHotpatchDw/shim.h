#pragma once
#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <libelf.h>
#include <stdbool.h>

// What DWARF is read with: of libdw, and of libelf, which it brings along.
#define HP_LIBDW_FUNCTIONS(F) \
    F(dwarf_attr) F(dwarf_attr_integrate) F(dwarf_begin_elf) F(dwarf_child) F(dwarf_dieoffset) F(dwarf_end) F(dwarf_entrypc) \
    F(dwarf_filesrc) F(dwarf_formref_die) F(dwarf_formstring) F(dwarf_formudata) F(dwarf_getsrcfiles) F(dwarf_hasattr) \
    F(dwarf_haschildren) F(dwarf_haspc) F(dwarf_lowpc) F(dwarf_nextcu) F(dwarf_offdie) F(dwarf_ranges) F(dwarf_siblingof) \
    F(dwarf_srclang) F(dwarf_tag) F(elf_end) F(elf_kind) F(elf_memory) F(elf_version)

// Each function by its name.
typedef struct hp_libdw {
    bool is_there;  // otherwise none is
#define HP_DECLARE(name) __typeof__(name) *name;
    HP_LIBDW_FUNCTIONS(HP_DECLARE)
#undef HP_DECLARE
} hp_libdw;

// HotpatchRemoteTarget defines it, for a program that unwinds other processes and so has both linked in. It is null elsewhere.
void hp_linked_libdw(hp_libdw *functions) __attribute__((weak));

// For that definition alone: whoever calls it has to be linked with both.
static inline void hp_take_linked_libdw(hp_libdw *functions) {
#define HP_TAKE(name) functions->name = name;
    HP_LIBDW_FUNCTIONS(HP_TAKE)
#undef HP_TAKE
    functions->is_there = true;
}

// Loads the library and finds the functions; false where it is not installed, or lacks one of them.
static inline bool hp_find_libdw(hp_libdw *functions) {
    void *library = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define HP_FIND(name) \
    functions->name = (__typeof__(name) *)dlsym(library, #name); \
    if (!functions->name) return false;
    HP_LIBDW_FUNCTIONS(HP_FIND)
#undef HP_FIND
    return true;
}

// The functions that are linked in; false where none are.
static inline bool hp_use_linked_libdw(hp_libdw *functions) {
    if (!hp_linked_libdw) return false;
    hp_linked_libdw(functions);
    return true;
}
