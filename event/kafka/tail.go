package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tail waits at the end of the topic for all who wait there: one request to each
// broker at a time, however many they are. It runs while somebody waits.
type tail struct {
	d *driver

	mu      sync.Mutex
	ends    vector        // what is known; it only grows while the topic is the same
	changed chan struct{} // closed when ends did
	waiting int
	running bool
	done    sync.WaitGroup
}

func newTail(d *driver) *tail { return &tail{d: d, changed: make(chan struct{})} }

const (
	longPoll = 5 * time.Second  // of one request
	patience = 20 * time.Second // of one who waits
)

func (d *driver) Wait(ctx context.Context, position string) error {
	a, err := parse(position)
	if err != nil {
		return err
	}
	if a.partition >= 0 {
		return nil // there may be something
	}
	return d.tail.wait(ctx, patience, nil, func(ends vector) bool {
		for p, end := range ends {
			if end != a.next.at(p) { // less: the topic was made again
				return true
			}
		}
		return false
	})
}

// wait returns when ready says so of the ends of the partitions, when there is
// something in wake, or after limit.
func (t *tail) wait(ctx context.Context, limit time.Duration, wake <-chan struct{}, ready func(ends vector) bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting++
	defer func() { t.waiting-- }()
	for {
		if t.ends != nil && ready(t.ends) {
			return nil
		}
		if !t.running && t.d.life.Err() == nil {
			t.running = true
			t.done.Go(t.run)
		}
		changed := t.changed
		t.mu.Unlock()
		var err error
		over := false
		select {
		case <-changed:
		case <-timer.C:
			over = true
		case <-wake:
			over = true
		case <-ctx.Done():
			err = ctx.Err()
		}
		t.mu.Lock()
		if err != nil || over {
			return err
		}
	}
}

// learn notes new ends, and wakes who waits if there are any.
func (t *tail) learn(ends map[int32]int64, partitions int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := len(t.ends) != partitions
	if news {
		t.ends = append(t.ends[:min(len(t.ends), partitions)], make(vector, max(partitions-len(t.ends), 0))...)
	}
	for p, end := range ends {
		if int(p) < partitions && t.ends[p] != end {
			t.ends[p], news = end, true
		}
	}
	if news {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// run follows the topic until nobody waits.
func (t *tail) run() {
	client, err := t.d.conn.More(kgo.ConnIdleTimeout(longPoll + 30*time.Second))
	if err == nil {
		defer client.Close()
	}
	for failures := 0; ; {
		t.mu.Lock()
		if t.waiting == 0 || t.d.life.Err() != nil || err != nil {
			t.running = false
			t.ends = nil // not known from now on
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if t.round(client) == nil {
			failures = 0
			continue
		}
		failures++
		_ = backoff.Sleep(t.d.life, min(time.Duration(failures)*50*time.Millisecond, time.Second))
	}
}

// round looks at the ends once, and then waits for more at each broker until one
// fails or nobody waits.
func (t *tail) round(client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(t.d.life, fresh)
	defer cancel()
	topic, err := t.d.stream(ctx)
	if err != nil {
		return err
	}
	ends, err := t.d.ends(ctx, topic)
	if err != nil {
		return err
	}
	byLeader := map[int32]map[int32]int64{}
	all := make(map[int32]int64, len(ends))
	for p, end := range ends {
		leader := topic.leaders[p]
		if byLeader[leader] == nil {
			byLeader[leader] = map[int32]int64{}
		}
		byLeader[leader][int32(p)], all[int32(p)] = end, end
	}
	t.learn(all, len(ends))
	errs := make(chan error, len(byLeader))
	for _, from := range byLeader {
		go func() { errs <- t.follow(ctx, client, topic, from) }()
	}
	for range byLeader {
		if e := <-errs; e != nil {
			err = e
			cancel() // the others too
		}
	}
	return err
}

func (t *tail) follow(ctx context.Context, client *kgo.Client, topic *topic, from map[int32]int64) error {
	for t.wanted() {
		got, err := fetchFrom(ctx, client, topic, from, 1, longPoll)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if stale(err) {
				t.d.forget(topic.name)
			}
			return err
		}
		for p, g := range got {
			if g.outside {
				return errNoLeader // it was made again
			}
			from[p] = max(from[p], g.end)
		}
		t.learn(from, len(topic.leaders))
	}
	return nil
}

func (t *tail) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting > 0
}
