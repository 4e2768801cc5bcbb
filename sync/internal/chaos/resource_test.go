package chaos

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	gosync "sync"
	"testing"

	"github.com/anishathalye/porcupine"
	dsync "github.com/micro/go-platform/sync"
)

// resource is what the lock protects. It lives in the test, so that it sees
// every write, also of a contender that is killed right after.
type resource struct {
	listener net.Listener

	mu            gosync.Mutex
	naive, fenced int
	fence         dsync.Fence
	onRead        func(client int) // runs before the reply, once
	stale         int              // writes of a value that was no longer the newest

	// Histories.
	grants, beliefs, naiveOps, fencedOps []porcupine.Operation
	believing                            map[int]bool
}

// What operations of the histories say.
type (
	grant     struct{ token uint64 }
	increment struct{ from int }
	acquire   struct{ client int }
	stop      struct{ client int }
)

func newResource(t *testing.T) *resource {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &resource{listener: l, believing: map[int]bool{}}
	var wg gosync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.serve(c) })
		}
	})
	// Registered before the contenders are started, so it runs after they end.
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return r
}

// serve answers one contender.
func (r *resource) serve(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	var client int
	var from struct {
		at            int64
		naive, fenced int
		ok            bool
	}
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		at := now()
		reply := "ok"
		switch verb {
		case "hello":
			fmt.Sscan(rest, &client)
		case "grant":
			var token uint64
			var call, granted int64
			fmt.Sscan(rest, &token, &call, &granted)
			r.mu.Lock()
			r.grants = append(r.grants, porcupine.Operation{ClientId: client, Input: grant{token}, Call: call, Return: granted})
			r.beliefs = append(r.beliefs, porcupine.Operation{ClientId: client, Input: acquire{client}, Call: call, Return: granted})
			r.believing[client] = true
			r.mu.Unlock()
		case "read":
			var token uint64
			fmt.Sscan(rest, &token)
			r.mu.Lock()
			from.at, from.naive, from.fenced = at, r.naive, r.fenced
			from.ok = r.fence.Check(token) == nil
			hook := r.onRead
			r.onRead = nil
			r.mu.Unlock()
			if hook != nil {
				hook(client)
			}
			reply = fmt.Sprintf("%d %d", from.naive, from.fenced)
		case "write":
			var token uint64
			var naive, fenced int
			fmt.Sscan(rest, &token, &naive, &fenced)
			r.mu.Lock()
			if r.naive != from.naive {
				r.stale++
			}
			r.naive = naive
			r.naiveOps = append(r.naiveOps, porcupine.Operation{ClientId: client, Input: increment{from.naive}, Call: from.at, Return: now()})
			if from.ok && r.fence.Check(token) == nil {
				r.fenced = fenced
				r.fencedOps = append(r.fencedOps, porcupine.Operation{ClientId: client, Input: increment{from.fenced}, Call: from.at, Return: now()})
			}
			r.mu.Unlock()
		case "end":
			var end int64
			fmt.Sscan(rest, &end)
			r.end(client, end, end)
		}
		if _, err := fmt.Fprintln(c, reply); err != nil {
			return
		}
	}
}

// end notes that client no longer believes that it holds the lock.
func (r *resource) end(client int, call, done int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.believing[client] {
		r.believing[client] = false
		r.beliefs = append(r.beliefs, porcupine.Operation{ClientId: client, Input: stop{client}, Call: call, Return: done})
	}
}

// sections is how many were completed.
func (r *resource) sections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.fencedOps)
}

// late is how many writes were stale.
func (r *resource) late() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stale
}

// next runs f when a contender has read, before it hears of it: it is inside
// the critical section.
func (r *resource) next(f func(client int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onRead = f
}

// mutex is a lock that one client has at a time. An operation is the taking of
// it or the end of the belief.
var mutex = porcupine.Model{
	Init: func() any { return -1 },
	Step: func(state, input, _ any) (bool, any) {
		switch in := input.(type) {
		case acquire:
			return state == -1, in.client
		case stop:
			return state == in.client, -1
		}
		return false, state
	},
	DescribeOperation: func(in, _ any) string { return fmt.Sprintf("%T%v", in, in) },
	DescribeState:     func(s any) string { return fmt.Sprintf("held by %v", s) },
}

// counter is one that increments by one at a time.
var counter = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, _ any) (bool, any) {
		from := input.(increment).from
		return state == from, from + 1
	},
	DescribeOperation: func(in, _ any) string { return fmt.Sprintf("%d + 1", in.(increment).from) },
	DescribeState:     func(s any) string { return fmt.Sprint(s) },
}

// tokens must rise from grant to grant.
var tokens = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, _ any) (bool, any) {
		token := input.(grant).token
		return token > state.(uint64), token
	},
	DescribeOperation: func(in, _ any) string { return fmt.Sprintf("grant %d", in.(grant).token) },
	DescribeState:     func(s any) string { return fmt.Sprint(s) },
}
