package etcd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestOpenReadsAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1":                      "http://127.0.0.1:2379",
		"a:1,b,[::1]:3":                  "http://a:1 http://b:2379 http://[::1]:3",
		"etcd://bob:s3cret@a:1,b:2":      "http://a:1 http://b:2",
		"etcds://a":                      "https://a:2379",
		"https://a:1":                    "https://a:1",
		"http://bob:s3cret@h/":           "http://h:2379",
		"etcd://bob:s3,c@ret@a:1,b.test": "http://a:1 http://b.test:2379",
	} {
		c, err := etcd.Open(etcd.Config{Address: in})
		if err != nil {
			t.Errorf("Open(%q): %v", in, err)
			continue
		}
		if got := strings.Join(c.Endpoints(), " "); got != want {
			t.Errorf("Open(%q) goes to %s, want %s", in, got, want)
		}
		if strings.Contains(c.Address(), "s3") {
			t.Errorf("Address shows the password: %s", c.Address())
		}
		c.Close()
	}
}

func TestOpenRefusesWithoutShowingThePassword(t *testing.T) {
	for _, in := range []string{"", ",", "a:1,", "redis://a", "etcd://bob:s3cret@a:1,b:x", "etcd://bob:s3cret@a/path", "etcd://bob:s3cret@a?x=s3cret", "a:0"} {
		c, err := etcd.Open(etcd.Config{Address: in})
		if err == nil {
			t.Errorf("Open(%q) was accepted", in)
			c.Close()
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%q) shows the password: %v", in, err)
		}
	}
}

func TestPingOfADeadMemberNamesTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := etcd.Open(etcd.Config{Address: addr, User: "bob", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	err = c.Ping(ctx)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), addr) {
		t.Errorf("Ping = %v, want unavailable with %s", err, addr)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("Ping took %v, want a fast failure", d)
	}
	_, err = c.Put(ctx, "k", "v")
	if err := etcd.Fault(err, true); !errors.Is(err, fault.Unavailable) || errors.Is(err, fault.UnknownOutcome) {
		t.Errorf("a write that was never sent = %v, want unavailable", err)
	}
}

// A write whose answer is awaited when the connection is closed may be applied; one that
// begins later was never sent.
func TestAWriteDuringCloseHasAnUnknownOutcome(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan bool, 1)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		arrived <- true
		<-s.Context().Done()
		return s.Context().Err()
	}))
	go server.Serve(l)
	defer server.Stop()
	c, err := etcd.Open(etcd.Config{Address: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := c.Put(t.Context(), "k", "v")
		failed <- err
	}()
	<-arrived
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := etcd.Fault(<-failed, true); !errors.Is(err, fault.UnknownOutcome) {
		t.Errorf("a write that the server has = %v, want an unknown outcome", err)
	}
	_, err = c.Put(t.Context(), "k", "v")
	if err := etcd.Fault(err, true); !errors.Is(err, fault.Unavailable) || errors.Is(err, fault.UnknownOutcome) {
		t.Errorf("a write after Close = %v, want unavailable", err)
	}
}

func TestCloseLeavesAUsersClientOpen(t *testing.T) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := etcd.Open(etcd.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil || client.Ctx().Err() != nil {
		t.Errorf("Close = %v, client's context = %v, want both nil", err, client.Ctx().Err())
	}
}

func TestFault(t *testing.T) {
	dialing := status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp: connection refused"`)
	cut := status.Error(codes.Unavailable, "error reading from server: EOF")
	for _, c := range []struct {
		name        string
		err         error
		read, write error // kinds; nil: none
	}{
		{"not connected", dialing, fault.Unavailable, fault.Unavailable},
		{"cut after sending", cut, fault.Unavailable, fault.UnknownOutcome},
		{"timed out in the server", rpctypes.ErrTimeout, fault.Unavailable, fault.UnknownOutcome},
		{"leader lost", rpctypes.ErrTimeoutDueToLeaderFail, fault.Unavailable, fault.UnknownOutcome},
		{"no leader", rpctypes.ErrNoLeader, fault.Unavailable, fault.Unavailable},
		{"no space", rpctypes.ErrNoSpace, fault.Unavailable, fault.Unavailable},
		{"too large", rpctypes.ErrRequestTooLarge, fault.TooLarge, fault.TooLarge},
		{"denied", rpctypes.ErrPermissionDenied, fault.Denied, fault.Denied},
		{"wrong password", rpctypes.ErrAuthFailed, fault.Denied, fault.Denied},
		{"no user", rpctypes.ErrUserEmpty, fault.Denied, fault.Denied},
		{"logged out", rpctypes.ErrInvalidAuthToken, fault.Unavailable, fault.Unavailable},
		{"context", context.DeadlineExceeded, context.DeadlineExceeded, fault.UnknownOutcome},
		{"the server's refusal", rpctypes.ErrLeaseNotFound, nil, nil},
		{"stranger", io.EOF, fault.Unavailable, fault.UnknownOutcome},
	} {
		if got := etcd.Fault(c.err, false); fault.KindOf(got) != c.read || !errors.Is(got, c.err) {
			t.Errorf("%s, read: %v, want kind %v", c.name, got, c.read)
		}
		if got := etcd.Fault(c.err, true); fault.KindOf(got) != c.write || !errors.Is(got, c.err) {
			t.Errorf("%s, write: %v, want kind %v", c.name, got, c.write)
		}
	}
	if etcd.Fault(nil, true) != nil {
		t.Error("nil did not stay nil")
	}
}
