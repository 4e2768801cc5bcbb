package redis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// FuzzReply: no bytes make the reader panic, wait for ever or take more memory
// than came.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR no\r\n", ":42\r\n", "$-1\r\n", "$0\r\n\r\n", "$3\r\nabc\r\n", "$3\r\nabcd\r\n", "*1\r\n:1\r\n", "$99999\r\n", "\r\n", ":x\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			reply, err := readReply(r)
			var answer goredis.Error
			if err != nil && !errors.As(err, &answer) {
				return
			}
			if len(reply.bulk) > len(b) {
				t.Fatalf("%d bytes out of %d", len(reply.bulk), len(b))
			}
		}
	})
}

// TestLengthsAreNotBelieved: memory follows the bytes, not the announcement.
func TestLengthsAreNotBelieved(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readReply(bufio.NewReader(strings.NewReader("$536870912\r\nabc")))
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.ErrUnexpectedEOF) || took > 1<<20 {
		t.Errorf("%d bytes for three, %v", took, err)
	}
	long := strings.Repeat("long ", 100000)
	got, err := readReply(bufio.NewReader(strings.NewReader("$500000\r\n" + long + "\r\n")))
	if err != nil || string(got.bulk) != long {
		t.Errorf("a long answer is %d bytes, %v", len(got.bulk), err)
	}
}

func TestSlots(t *testing.T) {
	// From the cluster specification, and redis-cli CLUSTER KEYSLOT.
	for key, want := range map[string]int{"123456789": 12739, "foo": 12182, "{user1000}.following": 3443, "foo{}{bar}": 8363, "foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061, "a}b": slotOf("a}b")} {
		if got := slotOf(key); got != want {
			t.Errorf("slot of %q is %d, want %d", key, got, want)
		}
	}
	for slot := range slotCount {
		if got := slotOf("x{" + slotTag(slot) + "}y"); got != slot {
			t.Fatalf("the tag of slot %d is in slot %d", slot, got)
		}
	}
}
