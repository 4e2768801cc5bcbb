package etcd

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Ends are rounded up, more for long lives than for short ones: below each limit, at it
// and above.
func TestEndsOfLeases(t *testing.T) {
	now := time.UnixMilli(1_000_000_000_001)
	for ttl, want := range map[time.Duration]int64{
		1: 2, time.Millisecond: 2, time.Millisecond + 1: 3, fineLife - time.Millisecond: 2000,
		fineLife: 2100, fineLife + 98*time.Millisecond: 2100, fineLife + 99*time.Millisecond: 2100, fineLife + 100*time.Millisecond: 2200,
		coarseLife - time.Millisecond: 60_000, coarseLife: 61_000, coarseLife + 999*time.Millisecond: 61_000, coarseLife + time.Second: 62_000,
	} {
		id, end := idOf(now, ttl)
		if got := end.UnixMilli() - 1_000_000_000_000; got != want {
			t.Errorf("a life of %v ends after %d, want %d", ttl, got, want)
		}
		if got, alive := endOf(int64(id)); !got.Equal(end) || alive {
			t.Errorf("a life of %v: the lease says %v, alive %v, want %v", ttl, got, alive, end)
		}
	}
	long, _ := idOf(now, maxLife)
	for _, ttl := range []time.Duration{maxLife + time.Hour, math.MaxInt64} {
		if id, _ := idOf(now, ttl); id != long {
			t.Errorf("a life of %v ends with lease %x, want the longest, %x", ttl, id, long)
		}
	}
	for _, id := range []int64{0, 1, leaseMark - 1, 5 << leaseBits} {
		if end, alive := endOf(id); !end.IsZero() || !alive {
			t.Errorf("another program's lease %x ends at %v, alive %v", id, end, alive)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		id, _ := idOf(time.Now(), time.Second)
		time.Sleep(time.Second - 1)
		_, before := endOf(int64(id))
		time.Sleep(time.Nanosecond)
		_, then := endOf(int64(id))
		if !before || then {
			t.Errorf("alive just before the end: %v, and at it: %v", before, then)
		}
	})
}

type told []string

func (s *told) Put(item kv.Item)  { *s = append(*s, "+"+item.Key) }
func (s *told) Delete(key string) { *s = append(*s, "-"+key) }
func (s *told) Synced(uint64)     {}

// What a watch tells of an event, and of other programs' keys.
func TestWhatIsTold(t *testing.T) {
	over, _ := idOf(time.UnixMilli(1000), time.Second)
	lives, _ := idOf(time.Now(), time.Hour)
	long := strings.Repeat("k", kv.MaxKey)
	for _, c := range []struct {
		kind  mvccpb.Event_EventType
		key   string
		lease clientv3.LeaseID
		want  string
	}{
		{clientv3.EventTypePut, "k", 0, "+k"}, {clientv3.EventTypePut, "k", lives, "+k"}, {clientv3.EventTypePut, "k", over, "-k"}, {clientv3.EventTypePut, "k", 5, "+k"},
		{clientv3.EventTypeDelete, "k", 0, "-k"}, {clientv3.EventTypePut, long, 0, "+" + long}, {clientv3.EventTypePut, long + "k", 0, ""}, {clientv3.EventTypeDelete, "\xff", 0, ""},
	} {
		var s told
		tell(&clientv3.Event{Type: c.kind, Kv: &mvccpb.KeyValue{Key: []byte(c.key), Lease: int64(c.lease), ModRevision: 3}}, &s)
		if got := strings.Join(s, " "); got != c.want {
			t.Errorf("%v of %.10q with lease %x: %.20q, want %.20q", c.kind, c.key, c.lease, got, c.want)
		}
	}
	item, alive := itemOf(&mvccpb.KeyValue{Key: []byte("k"), ModRevision: 3, Lease: int64(lives)})
	if !alive || item.Value == nil || item.Revision != 3 || time.Until(item.Expires) > time.Hour+2*time.Second {
		t.Errorf("%+v, alive %v", item, alive)
	}
	plain := errors.New("odd")
	for _, c := range []struct{ err, want error }{
		{plain, kv.ErrUnavailable}, {fault.Mark(fault.Unavailable, plain), fault.Unavailable}, {fault.Mark(fault.Invalid, plain), fault.Invalid}, {fault.Mark(fault.Denied, plain), fault.Denied}, {context.Canceled, kv.ErrUnavailable},
	} {
		if err := unavailable(c.err); fault.KindOf(err) != fault.KindOf(c.want) || !errors.Is(err, c.err) {
			t.Errorf("a watch that ended with %v: %v, want %v", c.err, err, c.want)
		}
	}
}
