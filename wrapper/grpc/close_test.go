package grpc

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// slowly is a resolver that takes its time to end.
type slowly struct{ ended atomic.Bool }

func (s *slowly) Scheme() string { return "passthrough" }

func (s *slowly) Build(resolver.Target, resolver.ClientConn, resolver.BuildOptions) (resolver.Resolver, error) {
	return s, nil
}

func (s *slowly) ResolveNow(resolver.ResolveNowOptions) {}

func (s *slowly) Close() {
	time.Sleep(time.Minute)
	s.ended.Store(true)
}

// Close waits for the end of a connection that is being closed already.
func TestCloseWaitsForWhatIsBeingClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl, k := client("a")
		slow := &slowly{}
		cl.dial = append(cl.dial, grpc.WithResolvers(slow))
		cn, err := cl.conn("a")
		if err != nil {
			t.Fatal(err)
		}
		cl.release(cn)
		cn.cc.Connect() // which asks the resolver
		synctest.Wait()
		k.addrs = nil
		time.Sleep(pruneOnNew)
		if _, err := cl.conn("b"); err != nil { // by which it is seen that a is gone
			t.Fatal(err)
		}
		if err := cl.Close(); err != nil || !slow.ended.Load() {
			t.Errorf("Close = %v, the other connection has ended: %t", err, slow.ended.Load())
		}
	})
}
