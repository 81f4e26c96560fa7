#pragma once
// libevent's own configuration header defines _GNU_SOURCE, which gives fd_set another shape
// than Swift's Glibc module saw. Taking the system headers first keeps one shape.
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/dns.h>
#include <event2/util.h>
