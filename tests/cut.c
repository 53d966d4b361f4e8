// Cuts an ext4 filesystem from its power: cut DIRECTORY
//
// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h): neither what waits in memory nor what the journal has not yet
// written reaches the disk, and every write after it fails. A test must not have what Rust calls unsafe, and there is no tool for it.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int count, char **words) {
    uint32_t without_the_log = 2;
    int directory = count == 2 ? open(words[1], O_RDONLY | O_DIRECTORY) : -1;
    if (directory < 0 || ioctl(directory, _IOR('X', 125, uint32_t), &without_the_log) != 0) {
        perror("cut");
        return 1;
    }
    return 0;
}
