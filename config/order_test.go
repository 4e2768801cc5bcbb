package config_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

// late is a source whose watch delivers what the test tells it to.
type late struct {
	mu     sync.Mutex
	newest string
	events chan string
}

func (l *late) Name() string { return "late" }

func (l *late) content(doc string) config.Content {
	return config.Content{Parts: []config.Part{{Data: []byte(doc)}}, Revision: doc}
}

func (l *late) set(doc string) { l.mu.Lock(); defer l.mu.Unlock(); l.newest = doc }

func (l *late) Read(context.Context) (config.Content, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content(l.newest), nil
}

func (l *late) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	for {
		select {
		case doc := <-l.events:
			deliver(l.content(doc), nil)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestDeliveryThatReloadHasOvertakenDoesNotTakeValuesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &late{newest: `{"n":1}`, events: make(chan string)}
		c, err := config.New(config.WithSource(src))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		v, err := config.Var(c, "n", 0)
		if err != nil {
			t.Fatal(err)
		}
		var seen []int
		v.OnChange(func(_, n int) { seen = append(seen, n) })
		src.set(`{"n":3}`)
		if err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		src.events <- `{"n":2}` // on its way since before the Reload
		time.Sleep(time.Second)
		src.events <- `{"n":3}`
		time.Sleep(time.Second)
		src.set(`{"n":4}`)
		src.events <- `{"n":4}`
		time.Sleep(time.Second)
		synctest.Wait()
		if fmt.Sprint(seen) != "[3 4]" {
			t.Errorf("n became %v, want 3 and then 4", seen)
		}
	})
}
