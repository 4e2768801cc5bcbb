package monitor

import (
	"os"
	"runtime/debug"
	"testing"
	"time"
)

// The numbers follow what the process does, in bytes and not in KiB.
func TestProcessNumbersFollowTheProcess(t *testing.T) {
	debug.FreeOSMemory() // what a test before this one released would be used again
	before := process(time.Now())
	if before.RSS < 1<<20 || before.RSS > 1<<36 {
		t.Errorf("%d bytes of memory in use", before.RSS)
	}
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 512 {
		block[i] = 1
	}
	var files []*os.File
	for range 50 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if p := process(time.Now()); p.CPUUser+p.CPUSystem > before.CPUUser+before.CPUSystem {
			break
		}
	}
	after := process(time.Now())
	if after.RSS < before.RSS+48<<20 {
		t.Errorf("64 MiB more: %d bytes in use before, %d after", before.RSS, after.RSS)
	}
	if after.FDs < before.FDs+len(files) {
		t.Errorf("50 files more: %d open before, %d after", before.FDs, after.FDs)
	}
	if after.CPUUser+after.CPUSystem <= before.CPUUser+before.CPUSystem || after.Threads == 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if block[0] != 1 {
		t.Fail()
	}
}
