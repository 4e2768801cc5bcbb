package etcd_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/internal/fault"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// member is a member of a cluster that answers as a test says: reads one after
// another, which are refused after that, and watches.
type member struct {
	pb.UnimplementedKVServer
	pb.UnimplementedWatchServer
	reads chan int64 // revisions
	tells chan *pb.WatchResponse
	asked chan *pb.WatchCreateRequest
}

// serve starts one.
func serve(t *testing.T, reads ...int64) (m *member, addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m = &member{reads: make(chan int64, 10), tells: make(chan *pb.WatchResponse, 10), asked: make(chan *pb.WatchCreateRequest, 10)}
	for _, r := range reads {
		m.reads <- r
	}
	s := grpc.NewServer()
	pb.RegisterKVServer(s, m)
	pb.RegisterWatchServer(s, m)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return m, l.Addr().String(), s.Stop
}

func (m *member) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	select {
	case revision := <-m.reads:
		header := &pb.ResponseHeader{Revision: revision}
		return &pb.RangeResponse{Header: header, Count: 1, Kvs: []*mvccpb.KeyValue{{Key: r.Key, Value: []byte("{}"), ModRevision: revision}}}, nil
	default:
		return nil, rpctypes.ErrGRPCPermissionDenied
	}
}

func (m *member) Watch(s pb.Watch_WatchServer) error {
	r, err := s.Recv()
	if err != nil {
		return err
	}
	m.asked <- r.GetCreateRequest()
	err = s.Send(&pb.WatchResponse{Created: true, Header: &pb.ResponseHeader{}})
	for err == nil {
		select {
		case tell := <-m.tells:
			err = s.Send(tell)
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
	return err
}

// event tells of a change at a revision.
func event(revision int64) *pb.WatchResponse {
	return &pb.WatchResponse{Header: &pb.ResponseHeader{Revision: revision}, Events: []*mvccpb.Event{{Kv: &mvccpb.KeyValue{Key: []byte("app"), ModRevision: revision}}}}
}

// compacted tells that what happened before a revision is gone.
func compacted(revision int64) *pb.WatchResponse {
	return &pb.WatchResponse{Header: &pb.ResponseHeader{Revision: revision}, Canceled: true, CompactRevision: revision}
}

// following is a watch of the key "app".
type following struct {
	config.Source
	cancel context.CancelFunc
	seen   chan config.Content
	ended  chan error
}

func follow(t *testing.T, addr string) *following {
	t.Helper()
	s := etcd.Source(addr, "app")
	if err := s.(config.Opener).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{s, cancel, make(chan config.Content, 10), make(chan error, 1)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		f.ended <- s.(config.Watcher).Watch(ctx, func(c config.Content, err error) {
			if err == nil {
				f.seen <- c
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-over
		if err := s.(config.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// sees waits for a content of a revision.
func (f *following) sees(t *testing.T, revision string) {
	t.Helper()
	select {
	case c := <-f.seen:
		if c.Revision != revision {
			t.Fatalf("delivered revision %s, want %s", c.Revision, revision)
		}
	case err := <-f.ended:
		t.Fatalf("the watch ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatalf("revision %s is not delivered", revision)
	}
}

// ends waits for the end, which has a kind and says why.
func (f *following) ends(t *testing.T, kind error, says string) {
	t.Helper()
	select {
	case err := <-f.ended:
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
			t.Errorf("the watch ended with %v, want %v that says %q", err, kind, says)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("the watch goes on, want its end with %q", says)
	}
}

// A watch that can't be sure to hear of every change ends, and says why.
func TestWhatEndsAWatch(t *testing.T) {
	for name, c := range map[string]struct {
		reads []int64
		then  func(t *testing.T, f *following, m *member, stop func())
		kind  error
		says  string
	}{
		"the first read is refused": {nil, nil, fault.Denied, "permission denied"},
		"a later read is refused": {[]int64{7}, func(t *testing.T, f *following, m *member, stop func()) {
			f.sees(t, "7")
			m.tells <- event(8)
		}, fault.Denied, "permission denied"},
		"the server ends it": {[]int64{7}, func(t *testing.T, f *following, m *member, stop func()) {
			f.sees(t, "7")
			m.tells <- compacted(9)
		}, rpctypes.ErrCompacted, "compacted"},
		"the connection is lost": {[]int64{7}, func(t *testing.T, f *following, m *member, stop func()) {
			f.sees(t, "7")
			<-m.asked
			stop()
		}, config.ErrUnavailable, "connection lost"},
		"the caller ends it": {[]int64{7}, func(t *testing.T, f *following, m *member, stop func()) {
			f.sees(t, "7")
			<-m.asked
			f.cancel()
		}, context.Canceled, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			m, addr, stop := serve(t, c.reads...)
			f := follow(t, addr)
			if c.then != nil {
				c.then(t, f, m, stop)
			}
			f.ends(t, c.kind, c.says)
		})
	}
}

// What was read already is not read again: each change costs one read.
func TestAChangeIsReadOnce(t *testing.T) {
	m, addr, _ := serve(t, 7, 9)
	f := follow(t, addr)
	f.sees(t, "7")
	if r := <-m.asked; r.StartRevision != 8 || string(r.Key) != "app" {
		t.Errorf("watched %s from revision %d, want app from 8", r.Key, r.StartRevision)
	}
	m.tells <- event(8)
	f.sees(t, "9")
	m.tells <- event(9)                                                    // it was there when 8 was read: another read would be refused
	m.tells <- &pb.WatchResponse{Header: &pb.ResponseHeader{Revision: 10}} // no change of the key
	m.tells <- compacted(11)                                               // the end
	f.ends(t, rpctypes.ErrCompacted, "compacted")
}
