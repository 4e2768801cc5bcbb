package memcached

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/conn/stream"
	"github.com/micro/go-platform/internal/fault"
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

// zeros never end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A value is read that has the most bytes, and one with more is left out, so that the
// next answer is read.
func TestValuesAreBounded(t *testing.T) {
	for size, fits := range map[int64]bool{MaxValue - 1: true, MaxValue: true, MaxValue + 1: false, math.MaxInt32: false} {
		answers := io.MultiReader(strings.NewReader(fmt.Sprintf("VALUE k 0 %d 1\r\n", size)), io.LimitReader(zeros{}, size), strings.NewReader("\r\nEND\r\nVALUE l 0 2 1\r\nab\r\nEND\r\n"))
		c := &stream.Conn{R: bufio.NewReaderSize(answers, 1<<20)}
		one, next := &Op{Verb: Get, Key: "k"}, &Op{Verb: Get, Key: "l"}
		for _, op := range []*Op{one, next} {
			if err := read(c, op); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
		}
		if fits != one.Done || fits != (int64(len(one.Value)) == size) || fits == errors.Is(one.Err, fault.TooLarge) {
			t.Errorf("of %d bytes %d were read: %v", size, len(one.Value), one.Err)
		}
		if !next.Done || next.Err != nil || string(next.Value) != "ab" {
			t.Errorf("after %d bytes came %q, %v", size, next.Value, next.Err)
		}
	}
}
