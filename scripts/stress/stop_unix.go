//go:build unix

package main

import (
	"os"
	"syscall"
	"time"
)

// pause stops a process for a while.
func pause(p *os.Process, d time.Duration) {
	err := p.Signal(syscall.SIGSTOP)
	if err != nil { // it has ended
		return
	}
	time.Sleep(d)
	_ = p.Signal(syscall.SIGCONT)
}
