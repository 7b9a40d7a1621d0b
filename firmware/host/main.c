/* SPDX-License-Identifier: Apache-2.0 */
/* The stub on a socket or on standard input and output: `stub-host [PORT]`. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

int stub_main(void);

static void leave(void) { exit(0); }

static int one_client(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, client;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof(name);

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&name, sizeof(name)) || listen(listener, 1))
        return -1;
    getsockname(listener, (struct sockaddr *)&name, &length);
    printf("%d\n", ntohs(name.sin_port));
    fflush(stdout);
    client = accept(listener, NULL, NULL);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return client;
}

int main(int argc, char **argv)
{
    memset(host_flash(), 0xFF, 4 << 20);
    host_line.restart = leave;
    host_line.in = STDIN_FILENO;
    host_line.out = STDOUT_FILENO;
    if (argc > 1) {
        host_line.in = host_line.out = one_client(atoi(argv[1]));
        if (host_line.in < 0)
            return 1;
    }
    return stub_main();
}
