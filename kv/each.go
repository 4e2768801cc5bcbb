package kv

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// parallel is how many calls stand for one batch on a backend without batches.
const parallel = 8

// each runs f for 0 to n-1, a few at a time. A panic of f, which would end the
// process on a goroutine that nobody can recover on, goes on in the caller's when
// what runs besides has ended; no more is begun then.
func each(n int, f func(i int)) {
	if n <= 1 {
		if n == 1 {
			f(0)
		}
		return
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		next  int
		first *raised
	)
	for range min(parallel, n) {
		wg.Go(func() {
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				stack := debug.Stack()
				mu.Lock()
				defer mu.Unlock()
				next = n
				if first == nil {
					first = &raised{v, stack}
				}
			}()
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
	if first != nil {
		panic(first)
	}
}

// raised is the value of a panic on another goroutine, and where it was.
type raised struct {
	value any
	stack []byte
}

func (r *raised) Error() string { return fmt.Sprintf("%v\n\n%s", r.value, r.stack) }

// Unwrap returns the value if it is an error.
func (r *raised) Unwrap() error {
	err, _ := r.value.(error)
	return err
}
