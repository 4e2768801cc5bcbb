package monitor

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// system fills in what /proc knows.
func system(p *Process) {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) == nil {
		p.CPUUser = time.Duration(ru.Utime.Nano())
		p.CPUSystem = time.Duration(ru.Stime.Nano())
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := bytes.Fields(b); len(f) > 1 {
			if pages, err := strconv.ParseUint(string(f[1]), 10, 64); err == nil {
				p.RSS = pages * uint64(os.Getpagesize())
			}
		}
	}
	p.FDs = max(0, entries("/proc/self/fd")-1) // without the one that reads the folder
	p.Threads = entries("/proc/self/task")
}

func entries(dir string) int {
	list, _ := os.ReadDir(dir)
	return len(list)
}
