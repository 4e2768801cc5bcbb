package memcached

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/kv"
)

func TestExptimeIsNeverForEverNorAMistakenDate(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, ttl := range []time.Duration{time.Millisecond, 999 * time.Millisecond, time.Second, time.Hour, month - time.Second, month, month + time.Second, 60 * 24 * time.Hour, 400 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, math.MaxInt64} {
		got := exptime(now, ttl)
		end := now.Add(time.Duration(got) * time.Second)
		if got > int64(month/time.Second) {
			end = time.Unix(got, 0)
		}
		late := end.Sub(now) - ttl
		if got == math.MaxInt32 {
			continue // the last date there is
		}
		if got <= 0 || late < 0 || late > 2*time.Second {
			t.Errorf("TTL %v: exptime %d ends %v late", ttl, got, late)
		}
	}
}

// FuzzEnvelope: what is sealed is unsealed, and no bytes make it panic.
func FuzzEnvelope(f *testing.F) {
	f.Add("k", []byte("v"), int64(0), uint32(sealed))
	f.Add(strings.Repeat("long", 100), []byte{}, int64(5e9), uint32(0))
	f.Fuzz(func(t *testing.T, key string, value []byte, ttl int64, flags uint32) {
		if len(key) <= kv.MaxKey && key != "" && ttl >= 0 {
			w := kv.Write{Key: key, Value: value}
			if ttl > 0 {
				w.TTL = time.Duration(ttl) + time.Minute
				if w.TTL < 0 {
					w.TTL = math.MaxInt64
				}
			}
			op := seal(w, 7)
			if len(op.Key) > maxKey || strings.ContainsAny(op.Key, " \r\n\x00\x7f") {
				t.Fatalf("key %q became %q", key, op.Key)
			}
			op.Done = true
			got := unseal(key, op)
			if got == nil || !bytes.Equal(got.item.Value, value) || got.item.Revision != 7 || got.dead || got.item.Expires.IsZero() != (w.TTL == 0) {
				t.Fatalf("sealed %+v, unsealed %+v", w, got)
			}
		}
		if got := unseal(key, &memcached.Op{Done: true, Flags: flags, Value: value}); got != nil && got.item.Revision == 0 {
			t.Fatal("revision 0")
		}
	})
}

// FuzzWireKey: no two keys meet.
func FuzzWireKey(f *testing.F) {
	f.Add("a b", "a%20b")
	f.Add("%h", "%25h")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a != b && wireKey(a) == wireKey(b) {
			t.Fatalf("%q and %q are both %q", a, b, wireKey(a))
		}
	})
}
