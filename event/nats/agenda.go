package nats

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	"github.com/nats-io/nats.go/jetstream"
)

// key stands for an ID in subjects.
type key [16]byte

func keyOf(id string) key {
	sum := sha256.Sum256([]byte(id))
	return key(sum[:16])
}

func (k key) String() string { return hex.EncodeToString(k[:]) }

func parseKey(s string) (k key, ok bool) {
	n, err := hex.Decode(k[:], []byte(s[:min(len(s), 2*len(k))]))
	return k, err == nil && n == len(k) && len(s) == 2*len(k)
}

// agenda is what a process remembers of the entries' stream: when each entry is due. It
// may also list entries that are gone, so each item is looked up before it counts.
type agenda struct {
	one mutex.Mutex // for one call of Due at a time

	reading mutex.Mutex
	made    time.Time // when the stream was made that it has read
	upto    uint64    // the last number that it has read

	mu    sync.Mutex
	items items
	taken []item // taken out of items by the running call of Due
}

type item struct {
	due int64 // ms
	key key
}

// items is a heap with the earliest first.
type items []item

func (l items) Len() int           { return len(l) }
func (l items) Less(i, j int) bool { return compareItems(l[i], l[j]) < 0 }
func (l items) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *items) Push(x any)        { *l = append(*l, x.(item)) }
func (l *items) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// next takes out the first item, as many times as it is there: once for each time that it
// was written.
func (l *items) next() item {
	it := heap.Pop(l).(item)
	for len(*l) > 0 && (*l)[0] == it {
		heap.Pop(l)
	}
	return it
}

func compareItems(a, b item) int {
	return cmp.Or(cmp.Compare(a.due, b.due), bytes.Compare(a.key[:], b.key[:]))
}

func (it item) String() string { return fmt.Sprintf("%d %s", it.due, it.key) }

// refresh reads what is new, and returns the server's time.
func (a *agenda) refresh(ctx context.Context, d *driver, s jetstream.Stream) (time.Time, error) {
	err := a.reading.Lock(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer a.reading.Unlock()
	info, err := s.Info(ctx)
	if err != nil {
		return time.Time{}, nats.ReadError(d.planLost(err))
	}
	st := info.State
	a.mu.Lock()
	if !a.made.Equal(info.Created) || st.LastSeq < a.upto || uint64(len(a.items)) > 2*st.Msgs+1000 {
		a.made, a.upto, a.items = info.Created, max(st.FirstSeq, 1)-1, nil
	}
	a.mu.Unlock()
	w := &walk{s: s, after: a.upto, last: st.LastSeq, most: math.MaxInt, headersOnly: true, visit: func(m seen) { a.add(d, m.subject, m.header.Get(dueHeader)) }}
	err = w.run(ctx)
	a.upto = w.after // also after an error
	return info.TimeStamp, d.planLost(err)
}

func (a *agenda) add(d *driver, subject, due string) {
	ms, err := strconv.ParseInt(due, 10, 64)
	k, ok := parseKey(strings.TrimPrefix(subject, d.plan.subject))
	if err == nil && ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		heap.Push(&a.items, item{ms, k})
	}
}

// take takes out the first item if it is due, or else says when it is.
func (a *agenda) take(now time.Time) (it item, next time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.items) == 0 {
		return it, next, false
	}
	if first := a.items[0].due; first > now.UnixMilli() {
		return it, time.UnixMilli(first).UTC(), false
	}
	it = a.items.next()
	a.taken = append(a.taken, it)
	return it, next, true
}

// drop forgets the item that was taken last: it is over.
func (a *agenda) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken = a.taken[:len(a.taken)-1]
}

// back puts back what was taken.
func (a *agenda) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, it := range a.taken {
		heap.Push(&a.items, it)
	}
	a.taken = nil
}

// after returns what comes after an item that String has written.
func (a *agenda) after(from string) (items, error) {
	first := item{due: -1 << 63}
	if from != "" {
		ms, id, _ := strings.Cut(from, " ")
		due, err := strconv.ParseInt(ms, 10, 64)
		k, ok := parseKey(id)
		if err != nil || !ok {
			return nil, fault.Markf(fault.Invalid, "no place in the schedule: %q", from)
		}
		first = item{due, k}
	}
	a.mu.Lock()
	var list items
	for _, it := range slices.Concat(a.taken, a.items) {
		if from == "" || compareItems(it, first) > 0 {
			list = append(list, it)
		}
	}
	a.mu.Unlock()
	heap.Init(&list) // a page takes only the first ones: they need not be sorted
	return list, nil
}
