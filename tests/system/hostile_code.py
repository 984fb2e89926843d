# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What hostile.c runs: a name, the code, how it ends, and where.

Encodings: Intel SDM vol. 2; those of AMD: APM vol. 3. In the registers is what
hostile.c says; rax, rcx and rdx are 0."""

from ultravisor import C

READ = {C.ULV_FAULT_READ}
WRITE = {C.ULV_FAULT_WRITE}
EXECUTE = {C.ULV_FAULT_EXECUTE}
INSTRUCTION = {C.ULV_FAULT_INSTRUCTION}
PROTECTION = {C.ULV_FAULT_PROTECTION}
PORT = {C.ULV_FAULT_PORT}
REFUSED = INSTRUCTION | PROTECTION
ELSEWHERE = -1  # the instruction is not in the code that was written


def row(name, code, kinds, at=0, becomes=None):
    """at: offset of the instruction that the fault record names; becomes: what
    is there then."""
    code = bytes.fromhex(code)
    there = code[max(at, 0):] if becomes is None else bytes.fromhex(becomes)
    return name, code, kinds, at, there


# Those that need privilege level 0: SDM vol. 3A 5.9, and the VM extensions.
PRIVILEGED = [
    row("cli", "fa", INSTRUCTION),
    row("sti", "fb", INSTRUCTION),
    row("hlt", "f4", INSTRUCTION),
    row("clts", "0f06", INSTRUCTION),
    row("invd", "0f08", INSTRUCTION),
    row("wbinvd", "0f09", INSTRUCTION),
    row("wbnoinvd", "f30f09", INSTRUCTION),
    row("lgdt", "0f011424", INSTRUCTION),
    row("lidt", "0f011c24", INSTRUCTION),
    row("lldt", "0f00d0", INSTRUCTION),
    row("ltr", "0f00d8", INSTRUCTION),
    row("lmsw", "0f01f0", INSTRUCTION),
    row("invlpg", "0f0138", INSTRUCTION),
    row("invpcid", "660f38820424", REFUSED),
    row("swapgs", "0f01f8", INSTRUCTION),
    row("sysret", "480f07", INSTRUCTION),
    row("sysexit", "480f35", INSTRUCTION),
    row("rdpmc", "0f33", INSTRUCTION),
    row("xsetbv", "0f01d1", INSTRUCTION),
    row("xsaves", "0fc72c24", REFUSED),
    row("xrstors", "0fc71c24", REFUSED),
    row("monitor", "0f01c8", INSTRUCTION),
    row("mwait", "0f01c9", INSTRUCTION),
    row("rsm", "0faa", INSTRUCTION),
    row("stac", "0f01cb", INSTRUCTION),
    row("clac", "0f01ca", INSTRUCTION),
    row("mov to cr0", "0f22c0", INSTRUCTION),
    row("mov to cr2", "0f22d0", INSTRUCTION),
    row("mov to cr3", "0f22d8", INSTRUCTION),
    row("mov to cr4", "0f22e0", INSTRUCTION),
    row("mov to cr8", "440f22c0", INSTRUCTION),
    row("mov from cr0", "0f20c0", INSTRUCTION),
    row("mov from cr2", "0f20d0", INSTRUCTION),
    row("mov from cr3", "0f20d8", INSTRUCTION),
    row("mov from cr4", "0f20e0", INSTRUCTION),
    row("mov from cr8", "440f20c0", INSTRUCTION),
    row("mov to no cr", "0f22c8", INSTRUCTION),
    row("mov to dr0", "0f23c0", INSTRUCTION),
    row("mov to dr7", "0f23f8", INSTRUCTION),
    row("mov from dr6", "0f21f0", INSTRUCTION),
    row("rdmsr", "0f32", INSTRUCTION),
    row("wrmsr", "0f30", INSTRUCTION),
    row("vmxon", "f30fc73424", REFUSED),
    row("vmxoff", "0f01c4", REFUSED),
    row("vmlaunch", "0f01c2", REFUSED),
    row("vmresume", "0f01c3", REFUSED),
    row("vmptrld", "0fc73424", REFUSED),
    row("vmread", "0f78c3", REFUSED),
    row("vmwrite", "0f79c3", REFUSED),
    row("invept", "660f38800424", REFUSED),
    row("invvpid", "660f38810424", REFUSED),
    row("vmrun", "0f01d8", REFUSED),
    row("vmload", "0f01da", REFUSED),
    row("vmsave", "0f01db", REFUSED),
    row("stgi", "0f01dc", REFUSED),
    row("clgi", "0f01dd", REFUSED),
    row("skinit", "0f01de", REFUSED),
    row("invlpga", "0f01df", REFUSED),
    row("encls", "0f01cf", REFUSED),
    row("getsec", "0f37", REFUSED),
]

# Ways to somebody else's code, and into states of the processor's own.
GATES = [
    # to address 0, where no processor finds anything: LSTAR is 0 where SCE is
    # not heeded
    row("syscall", "0f05", REFUSED | EXECUTE, ELSEWHERE),
    # on Linux to where its 32-bit code would be, which is not there
    row("sysenter", "0f34", REFUSED | EXECUTE, ELSEWHERE),
    row("sysenter with a stack", "4889e5" "0f34", REFUSED | EXECUTE,
        ELSEWHERE),
    row("int 0", "cd00", REFUSED),
    row("int 2", "cd02", REFUSED),
    row("int 8", "cd08", REFUSED),
    row("int 14", "cd0e", REFUSED),
    row("int 18", "cd12", REFUSED),
    row("int 32", "cd20", REFUSED),
    row("int 0x80", "cd80", REFUSED),
    row("int 255", "cdff", REFUSED),
    row("int3", "cc", INSTRUCTION, 1),
    row("int1", "f1", INSTRUCTION, 1),
    row("into", "ce", INSTRUCTION),
    row("ud2", "0f0b", INSTRUCTION),
    row("trap flag", "9c804c2401019d90", INSTRUCTION, 7),
    row("load ss 0", "31c08ed0", PROTECTION, 2),
    row("load a segment of level 0", "66b808008ed8", PROTECTION, 4),
    row("far jump", "ff2c24", PROTECTION),
    row("far call", "ff1c24", PROTECTION),
    row("far return", "6a086a00cb", PROTECTION, 4),
    row("iret to level 0", "6a106a006a026a086a0048cf", PROTECTION, 10),
    row("iret with interrupts on its own level",
        "4889e16a1b5168020a00006a334154" "48cf", PROTECTION, 15),
]

PORTS = [
    row("in", "ec", PORT),
    row("in of 4", "ed", PORT),
    row("in $0x64", "e464", PORT),
    row("inl $0x60", "e560", PORT),
    row("out $0x80", "e680", PORT),
    row("outl $0x92", "e792", PORT),
    row("out dx", "66baf90cb006ee", PORT, 6),
    row("outl dx", "66bafffF" "ef", PORT, 4),
    row("insl", "66baf0016d", PORT, 4),
    row("outsb", "66baf8036e", PORT, 4),
    row("rep outsw", "66ba0089f3666f", PORT, 4),
    row("rep insb to nowhere", "66ba6000bf00000010f36c", PORT, 9),
]

# r8 view, r9 gate, r10 channel, r11 end of memory, r12 this code
MEMORY = [
    row("read null", "8b00", READ),
    row("jump to null", "ffe0", EXECUTE, ELSEWHERE),
    row("read the backend's page tables", "8a042500100000", READ),
    row("write the backend's page tables", "88042500100000", WRITE),
    row("write the backend's descriptors", "88042500300000", WRITE),
    row("jump to the backend's stubs", "b800600000ffe0", EXECUTE, ELSEWHERE),
    row("read the upper half", "48b80000000000" "80ffff" "8a00",
        READ | PROTECTION, 10),
    row("jump to the upper half", "48b80000000000" "80ffff" "ffe0",
        EXECUTE | READ | PROTECTION, ELSEWHERE),
    row("read what is not canonical", "48b80000000000000080" "8a00",
        PROTECTION, 10),
    row("jump to what is not canonical", "48b80000000000000080" "ffe0",
        PROTECTION, 10),
    row("the local APIC", "b82000e0fe8b00", READ, 5),
    row("the page of vsyscalls", "48c7c0000060ff" "ffe0",
        EXECUTE | READ | REFUSED, ELSEWHERE),
    row("write the view", "418800", WRITE),
    row("jump into the view", "41ffe0", EXECUTE, ELSEWHERE),
    row("jump into the middle of the view", "498d8000100000ffe0", EXECUTE,
        ELSEWHERE),
    row("write the gate", "418801", WRITE),
    row("write the gate's last byte", "418881ff0f0000", WRITE),
    row("jump into a channel", "41ffe2", EXECUTE, ELSEWHERE),
    row("code of its own in a channel", "41c702eb fe9090" "41ffe2", EXECUTE,
        ELSEWHERE),
    row("read behind its memory", "418a03", READ),
    row("read across its end", "498b43fc", READ),
    row("write across its end", "498943fc", WRITE),
    row("jump across its end", "498d43ff" "c60066" "ffe0", EXECUTE, ELSEWHERE),
    row("exchange with nothing", "488704250000" "0010", WRITE),
    row("a string across its end", "4989e5" "498d7bff" "b908000000" "f3aa",
        WRITE, 12),
]

STACK = [
    row("push at the first byte of memory", "bc00004000" "50", WRITE, 5),
    row("call at the first byte of memory", "bc00004000" "e800000000", WRITE,
        5),
    row("push where nothing is", "bc00000010" "50", WRITE, 5),
    row("call where nothing is", "bc00000010" "e800000000", WRITE, 5),
    row("pop where nothing is", "bc00000010" "58", READ, 5),
    row("return from where nothing is", "bc00000010" "c3", READ, 5),
    row("return to nowhere", "6800000010" "c3", EXECUTE, ELSEWHERE),
    row("push into the view", "498da000100000" "50", WRITE, 7),
    row("call in the view", "498da000100000" "e800000000", WRITE, 7),
    row("return from the view", "4c89c4" "c3", EXECUTE | READ | PROTECTION,
        ELSEWHERE),
    row("push into the gate", "498d6108" "50", WRITE, 4),
    row("push at the end of its memory", "4c89dc" "50" "5858", READ, 5),
    row("push at null", "31e4" "50", WRITE | PROTECTION, 2),
    row("push where no address can be", "48bc0000000000000080" "50",
        PROTECTION, 10),
    row("call where no address can be",
        "48bc0000000000000080" "e800000000", PROTECTION, 10),
    row("enter where nothing is", "bc00000010" "c8000000", WRITE, 5),
    row("an exception with no stack", "31e4" "0f0b", INSTRUCTION, 2),
    row("an exception where no stack can be",
        "48bc0000000000000080" "0f0b", INSTRUCTION, 10),
    row("an exception with the view as its stack", "4c89c4" "0f0b",
        INSTRUCTION, 3),
    row("a stack on the backend's own", "bc00800000" "50", WRITE, 5),
]

# the next instruction, then the instruction itself, becomes ud2
SELF_MODIFYING = [
    row("modifies what comes next", "66c70500000000" "0f0b" "9090",
        INSTRUCTION, 9, "0f0b"),
    row("modifies itself", "66c705f7ffffff" "0f0b" "ebf5", INSTRUCTION, 0,
        "0f0b"),
    row("jumps into the middle of itself", "eb01" "b80f0b9090", INSTRUCTION,
        3),
    row("code on the stack", "680f0b9090" "ffe4", INSTRUCTION, ELSEWHERE),
]

ALL = PRIVILEGED + GATES + PORTS + MEMORY + STACK + SELF_MODIFYING

# Sensitive, and not privileged (Robin and Irvine, USENIX Security 2000), and
# other instructions that ask about the machine: each may be refused or come
# through; what it sees is in rax then.
SENSITIVE = [
    row("sgdt", "4883ec10" "0f010424" "488b442402" "4883c410", REFUSED),
    row("sidt", "4883ec10" "0f010c24" "488b442402" "4883c410", REFUSED),
    row("sldt", "480f00c0", REFUSED),
    row("str", "480f00c8", REFUSED),
    row("smsw", "480f01e0", REFUSED),
    row("pushf", "9c58", set()),
    # the interrupt flag cleared: it is as it was
    row("popf", "9c58" "4825fffdffff" "509d" "9c58", set()),
    row("lar", "66b808000f02c0", REFUSED),
    row("lsl", "66b808000f03c0", REFUSED),
    row("verr", "66b808000f00e0" "0f94c0", REFUSED),
    row("verw", "66b808000f00e8" "0f94c0", REFUSED),
    row("push fs, pop fs", "0fa00fa1", REFUSED),
    row("mov from cs", "8cc8", set()),
    row("mov from ds", "8cd8", set()),
    row("mov to ds", "8cd88ed8", REFUSED),
    row("load a task as data", "66b828008ed8", REFUSED),
    row("far return to itself", "8cc8" "50" "488d0503000000" "50" "48cb",
        REFUSED),
    row("cpuid", "53" "0fa2" "5b", set()),
    row("rdtsc", "0f31", REFUSED),
    row("rdtscp", "0f01f9", REFUSED),
    row("rdpid", "f30fc7f8", REFUSED),
    row("xgetbv", "0f01d0", REFUSED),
    row("rdpkru", "0f01ee", REFUSED),
    row("wrpkru", "0f01ef", REFUSED),
    row("rdfsbase", "f3480faec0", REFUSED),
    row("wrgsbase", "f3480faed8", REFUSED),
    row("clflush", "0fae3c24", REFUSED),
    row("xabort", "c6f800", REFUSED),
    row("rdrand", "0fc7f0", REFUSED),
    row("fninit", "dbe3", REFUSED),
    row("sse", "0f57c0", REFUSED),
]
