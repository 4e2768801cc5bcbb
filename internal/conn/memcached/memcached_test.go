package memcached

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/micro/go-platform/internal/conn/stream"
)

func TestKetamaMovesOnlyWhatItMust(t *testing.T) {
	names := []string{"10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211", "10.0.0.4:11211"}
	three, four := newRing(names[:3]), newRing(names)
	const keys = 40000
	moved, load := 0, map[int]int{}
	for i := range keys {
		key := fmt.Sprint("key", i)
		was, is := three.pick(key), four.pick(key)
		load[is]++
		if was != is {
			moved++
			if is != 3 {
				t.Fatalf("%q moved from server %d to %d, which was there before", key, was, is)
			}
		}
	}
	if share := float64(moved) / keys; share < 0.18 || share > 0.32 {
		t.Errorf("%.3f of the keys moved, want about a quarter", share)
	}
	for s := range 4 {
		if share := float64(load[s]) / keys; share < 0.15 || share > 0.35 {
			t.Errorf("server %d has %.3f of the keys", s, share)
		}
	}
}

// FuzzAnswer: no bytes make the reader panic or wait indefinitely.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"END\r\n", "VALUE k 1 3 7\r\nabc\r\nEND\r\n", "STORED\r\n", "EXISTS\r\n", "SERVER_ERROR object too large for cache\r\n", "VALUE k 0 99999999 1\r\n", "VALUE k 0 1 1\r\nab\r\n", "VERSION 1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, verb := range []Verb{Get, Set, Version} {
			c := &stream.Conn{Conn: (*net.TCPConn)(nil), R: bufio.NewReader(bytes.NewReader(b))}
			op := &Op{Verb: verb, Key: "k"}
			if err := read(c, op); err == nil && len(op.Value) > len(b) {
				t.Fatalf("%d bytes out of %d", len(op.Value), len(b))
			}
		}
	})
}
