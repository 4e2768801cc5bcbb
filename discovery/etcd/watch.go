package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// answerTime is how long a sign of life may take.
const answerTime = 5 * time.Second

// Watch reads the set at a revision and follows it from the next.
//
// The client's own watch reconnects in silence, for as long as it takes. A
// session here ends instead when its connection breaks or nothing answers, so
// that readers learn that what they have is stale.
func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	readCtx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	r, err := d.Get(readCtx, base(service), clientv3.WithPrefix())
	if err != nil {
		if ctx.Err() == nil && readCtx.Err() != nil {
			return fault.Mark(fault.Unavailable, err)
		}
		return conn.Fault(err, false)
	}
	s := set{base: base(service), live: map[string]discovery.Instance{}, gone: map[string]bool{}}
	for _, kv := range r.Kvs {
		s.put(kv)
	}
	deliver(s.update())

	broken := make(chan struct{})
	go func() {
		defer close(broken)
		c := d.ActiveConnection()
		for c.GetState() == connectivity.Ready {
			if !c.WaitForStateChange(ctx, connectivity.Ready) {
				return
			}
		}
	}()
	defer func() { cancel(); <-broken }()

	watchCtx := clientv3.WithRequireLeader(ctx)
	changes := d.Client.Watch(watchCtx, s.base, clientv3.WithPrefix(), clientv3.WithRev(r.Header.Revision+1), clientv3.WithProgressNotify())
	// All watches of a client share a stream and hear the same sign of life:
	// jitter lets one of them ask for all.
	wait := func() time.Duration { return d.poll - rand.N(d.poll/4) }
	quiet := time.NewTimer(wait())
	defer quiet.Stop()
	asked := false
	for {
		select {
		case w, ok := <-changes:
			if err := w.Err(); err != nil {
				return conn.Fault(err, false)
			}
			if !ok {
				return ended(ctx, "the watch ended")
			}
			if len(w.Events) > 0 {
				for _, e := range w.Events {
					s.apply(e)
				}
				deliver(s.update())
			} else if w.IsProgressNotify() {
				deliver(discovery.Update{Same: true})
			}
			asked = false
			quiet.Reset(wait())
		case <-quiet.C:
			if asked {
				return ended(ctx, "no sign of life")
			}
			if err := d.RequestProgress(watchCtx); err != nil {
				return conn.Fault(err, false)
			}
			asked = true
			quiet.Reset(answerTime)
		case <-broken:
			return ended(ctx, "the connection broke")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ended(ctx context.Context, why string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault.Mark(fault.Unavailable, errors.New(why))
}

// set is the state of one service.
type set struct {
	base string
	live map[string]discovery.Instance
	gone map[string]bool
}

// put takes over a key. What isn't an instance is left out.
func (s *set) put(kv *mvccpb.KeyValue) {
	name := string(kv.Key[len(s.base):])
	if name == "" {
		return
	}
	id := name[1:]
	switch name[0] {
	case '-':
		s.gone[id] = true
	case '+':
		var in discovery.Instance
		if json.Unmarshal(kv.Value, &in) == nil && in.ID == id {
			s.live[id] = in
		} else {
			delete(s.live, id)
		}
	}
}

func (s *set) apply(e *clientv3.Event) {
	if e.Type == clientv3.EventTypePut {
		s.put(e.Kv)
		return
	}
	name := string(e.Kv.Key[len(s.base):])
	if name == "" {
		return
	}
	switch name[0] {
	case '-':
		delete(s.gone, name[1:])
	case '+':
		delete(s.live, name[1:])
	}
}

// update copies the set for the front.
func (s *set) update() discovery.Update {
	all := make([]discovery.Instance, 0, len(s.live))
	for _, in := range s.live {
		all = append(all, in)
	}
	// Asked only while deliver runs.
	return discovery.Update{Instances: all, Deregistered: func(id string) bool { return s.gone[id] }}
}
