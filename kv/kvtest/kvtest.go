// Package kvtest shows whether a backend of kv keeps the contract of
// kv.Driver: the same cases for every backend, switched on by what its
// Features declare. What is not declared has to return kv.ErrUnsupported.
//
//	func TestConformance(t *testing.T) {
//		kvtest.Run(t, kvtest.Harness{
//			Open: func(t testing.TB, opts ...kv.Option) kv.KV {
//				store, err := kv.New(append(opts, mine.Backend(addr))...)
//				…
//			},
//		})
//	}
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
)

// Harness is one backend under test.
type Harness struct {
	// Open returns a store on the backend. All stores that it opens in one Run
	// see the same backend; the suite keeps them apart by namespaces, and
	// closes them.
	Open func(t testing.TB, opts ...kv.Option) kv.KV

	// Down takes the backend away at once and returns what brings it back, with
	// the items that it had if Features.Durable says so. nil skips the cases of
	// outages.
	Down func(t testing.TB) (up func())

	// Stress multiplies the work of the concurrent cases. 0 means 1.
	Stress int
}

// Run runs every case as a subtest: outages and what Close has to leave behind
// one after another, the rest, which mostly waits, side by side.
func Run(t *testing.T, h Harness) {
	leak.Check(t)
	if h.Stress < 1 {
		h.Stress = 1
	}
	for _, c := range slices.Concat(closeCases, outageCases) {
		t.Run(c.name, func(t *testing.T) {
			leak.Check(t)
			c.run(&suite{T: t, h: h})
		})
	}
	t.Run("together", func(t *testing.T) { // returns when all have ended
		leak.Check(t)
		for _, c := range slices.Concat(basicCases, inputCases, conditionCases, lifeCases, batchCases, listCases, watchCases) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(&suite{T: t, h: h})
			})
		}
	})
}

type testCase struct {
	name string
	run  func(s *suite)
}

// suite is one case in its run.
type suite struct {
	*testing.T
	h  Harness
	ns string
}

// open returns a store in the case's own namespace.
func (s *suite) open(opts ...kv.Option) kv.KV {
	s.Helper()
	if s.ns == "" {
		s.ns = namespace()
	}
	return s.openIn(s.ns, opts...)
}

func (s *suite) openIn(ns string, opts ...kv.Option) kv.KV {
	s.Helper()
	store := s.h.Open(s.T, append([]kv.Option{kv.WithNamespace(ns)}, opts...)...)
	if store == nil {
		s.Fatal("the harness opened no store")
	}
	s.Cleanup(func() { store.Close() })
	return store
}

// namespace returns a name that no other case or run has.
func namespace() string { return fmt.Sprintf("t%x", rand.Uint64()) }

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.T.Context(), time.Minute)
	s.Cleanup(cancel)
	return ctx
}

func (s *suite) put(store kv.KV, key, value string, opts ...kv.PutOption) kv.Revision {
	s.Helper()
	rev, err := store.Put(s.ctx(), key, []byte(value), opts...)
	if err != nil {
		s.Fatalf("Put(%q): %v", key, err)
	}
	if rev == 0 {
		s.Fatalf("Put(%q) gave revision 0, which means that there is nothing", key)
	}
	return rev
}

func (s *suite) get(store kv.KV, key string) kv.Item {
	s.Helper()
	item, err := store.Get(s.ctx(), key, kv.Expiry())
	if err != nil {
		s.Fatalf("Get(%q): %v", key, err)
	}
	if item.Key != key {
		s.Fatalf("Get(%q) gave the item of %q", key, item.Key)
	}
	if item.Revision == 0 {
		s.Fatalf("Get(%q) gave revision 0, which means that there is nothing", key)
	}
	return item
}

// want fails unless key has the value.
func (s *suite) want(store kv.KV, key, value string) {
	s.Helper()
	if got := s.get(store, key); string(got.Value) != value {
		s.Fatalf("Get(%q) = %.80q, want %.80q", key, got.Value, value)
	}
}

func (s *suite) wantMissing(store kv.KV, key string) {
	s.Helper()
	if item, err := store.Get(s.ctx(), key); !errors.Is(err, kv.ErrNotFound) {
		s.Fatalf("Get(%q) = %.80q, %v, want ErrNotFound", key, item.Value, err)
	}
}

// wantErr fails unless err is of the kind and says package and operation.
func (s *suite) wantErr(err, kind error, op string) {
	s.Helper()
	switch {
	case !errors.Is(err, kind):
		s.Fatalf("%s: got error %v, want %v", op, err, kind)
	case !strings.HasPrefix(err.Error(), "kv/") || !strings.Contains(err.Error(), ": "+op):
		s.Fatalf("error %q does not begin with the backend and name the operation %q", err, op)
	}
}

// eventually polls until ok, and fails with what was last said at the end.
func (s *suite) eventually(within time.Duration, ok func() (bool, string)) {
	s.Helper()
	deadline := time.Now().Add(within)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		good, last := ok()
		if good {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("not within %v: %s", within, last)
		}
		<-time.After(wait)
	}
}

// together runs f n times at once and waits.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
