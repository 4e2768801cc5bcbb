//go:build unix

package log

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Between the opening and the lock of a file another process may rotate it. A
// FIFO opens when somebody reads it: here, once it has another name.
func TestAFileThatIsRenamedBeforeItIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan handle)
	go func() {
		h, err := openShared(path, 0o600)
		if err != nil {
			t.Error(err)
		}
		opened <- h
	}()
	moved := path + ".1"
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if strings.Contains(all, "log.openShared(") && strings.Contains(all, "syscall.openat(") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("openShared does not open the FIFO:\n%s", all)
		}
	}
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(moved, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	h := <-opened
	defer h.Close()
	if info, err := h.Stat(); err != nil || !info.Mode().IsRegular() {
		t.Errorf("what is open is %v, %v, want the file that is at the path now", info.Mode(), err)
	}
}

// A lock that somebody takes for reasons unknown does not stop the log.
func TestAFileThatSomebodyLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	theirs, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if !exclude(theirs) {
		t.Fatal("the file can't be locked")
	}
	logged(t, path, 2)
	inOrder(t, linesOf(t, path), 2)
}
