#include "CSystem.h"

// Here and not in the header: it must not meet Glibc's in a module.
#include <linux/filter.h>

int sys_ignore_new_connections(int descriptor) {
    // The kernel runs it on each segment for the socket, from the TCP header on: byte 13 holds the flags.
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),  // SYN and ACK
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}
