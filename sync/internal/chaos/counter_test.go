package chaos

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
)

// count is the role of a process that increments the naive counter: arguments
// backend, address, address of the resource, how often.
func count(args []string) error {
	c, err := net.Dial("tcp", args[2])
	if err != nil {
		return err
	}
	defer c.Close()
	r := &remote{conn: c, replies: bufio.NewReader(c)}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	s, err := dsync.New(backend(args[0], args[1]), dsync.WithDialTimeout(20*time.Second), dsync.WithTimeout(20*time.Second))
	if err != nil {
		return err
	}
	for range n {
		err := dsync.Do(context.Background(), s, "counter", func(_ context.Context, token uint64) error {
			values, err := r.ask("read %d", token)
			if err != nil {
				return err
			}
			var naive, fenced int
			if _, err := fmt.Sscan(values, &naive, &fenced); err != nil {
				return err
			}
			_, err = r.ask("write %d %d %d", token, naive+1, fenced+1)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.Close()
}

// TestTwentyProcessesCountExactly counts to 20 × 100 with CHAOS set, else to 100.
func TestTwentyProcessesCountExactly(t *testing.T) {
	const processes = 20
	for _, tg := range chosen(t) {
		if tg.forgets || long(t) == 0 && (tg.backend == "quorum" || strings.Contains(tg.name, "three")) {
			continue
		}
		t.Run(tg.name, func(t *testing.T) {
			each := 100
			if long(t) == 0 {
				each = 5
			}
			r := newResource(t)
			addrs, _ := tg.start(t)
			var all []*servertest.Process
			for range processes {
				all = append(all, servertest.Child(t, "counter", tg.backend, strings.Join(addrs, ","), r.listener.Addr().String(), strconv.Itoa(each)))
			}
			for _, p := range all {
				if err := p.WaitFor(3 * time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if want := processes * each; r.naive != want || r.fenced != want || len(r.naiveOps) != want {
				t.Errorf("counted %d and %d in %d sections, want %d", r.naive, r.fenced, len(r.naiveOps), want)
			}
		})
	}
}
