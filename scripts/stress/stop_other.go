//go:build !unix

package main

import (
	"os"
	"time"
)

// pause does nothing: here a process can't be stopped.
func pause(_ *os.Process, d time.Duration) { time.Sleep(d) }
