package stack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"server": serve, "client": call})
	m.Run()
}

// callers is how many calls are under way at a time.
const callers = 8

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serve is the role of a server: its argument is its kind. It prints its
// address, and for each line that it reads its processor time.
func serve(args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	switch args[0] {
	case "bare":
		go http.Serve(l, greeter())
	case "ours":
		go http.Serve(l, ourHandler(greeter()))
	case "usual":
		go http.Serve(l, usualHandler())
	case "grpc bare", "grpc ours":
		go grpcServer(args[0] == "grpc ours").Serve(l)
	default:
		return fmt.Errorf("kind %q", args[0])
	}
	fmt.Println(l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(int64(processorTime()))
	}
	return in.Err()
}

// call is the role of a client: its arguments are its kind and the address of
// the server. For each line that it reads it makes as many calls, and prints
// what they took of its processor time.
func call(args []string) error {
	one, err := caller(args[0], args[1])
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		before := processorTime()
		if err := makeCalls(one, n); err != nil {
			return err
		}
		fmt.Println(int64(processorTime() - before))
	}
	return in.Err()
}

// makeCalls makes n calls, some at a time.
func makeCalls(one func() error, n int) error {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range n / callers {
				if err := one(); err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	return slices.MaxFunc(errs, func(a, b error) int {
		return strings.Compare(fmt.Sprint(a != nil), fmt.Sprint(b != nil))
	})
}

// caller returns what makes one call.
func caller(kind, addr string) (func() error, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 256
	client, url := &http.Client{Transport: base}, "http://"+addr+"/hello/ada"
	switch kind {
	case "bare":
	case "ours":
		client.Transport, url = ourTransport(base, addr), "http://greeter/hello/ada"
	case "usual":
		client.Transport = usualTransport(base)
	case "grpc bare", "grpc ours":
		return grpcCaller(kind == "grpc ours", addr), nil
	default:
		return nil, fmt.Errorf("kind %q", kind)
	}
	return func() error {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello world" {
			return fmt.Errorf("answer %q, %v", b, err)
		}
		return nil
	}, nil
}

// BenchmarkSockets is the processor time of a call over a real connection, of
// the server's process with a bare client and of the client's with a bare
// server. Kinds take turns; a figure is the least of the rounds.
func BenchmarkSockets(b *testing.B) {
	b.Run("server", func(b *testing.B) {
		compareServers(b, "bare", "ours", "usual")
	})
	b.Run("client", func(b *testing.B) {
		compareClients(b, "bare", "ours", "usual")
	})
	b.Run("grpc server", func(b *testing.B) {
		compareServers(b, "grpc bare", "grpc ours")
	})
	b.Run("grpc client", func(b *testing.B) {
		compareClients(b, "grpc bare", "grpc ours")
	})
}

const (
	rounds   = 12
	perRound = 8000
)

func compareServers(b *testing.B, kinds ...string) {
	var servers []*servertest.Process
	var call []func() error
	for _, kind := range kinds {
		s := servertest.Child(b, "server", kind)
		servers = append(servers, s)
		call = append(call, must(caller(kinds[0], s.Line())))
	}
	used := func(i int) time.Duration {
		servers[i].Send("")
		return time.Duration(must(strconv.ParseInt(servers[i].Line(), 10, 64)))
	}
	compareAll(b, kinds, func(i int) time.Duration {
		before := used(i)
		if err := makeCalls(call[i], perRound); err != nil {
			b.Fatal(err)
		}
		return used(i) - before
	})
}

func compareClients(b *testing.B, kinds ...string) {
	server := servertest.Child(b, "server", kinds[0])
	addr := server.Line()
	var clients []*servertest.Process
	for _, kind := range kinds {
		clients = append(clients, servertest.Child(b, "client", kind, addr))
	}
	compareAll(b, kinds, func(i int) time.Duration {
		clients[i].Send(strconv.Itoa(perRound))
		return time.Duration(must(strconv.ParseInt(clients[i].Line(), 10, 64)))
	})
}

func compareAll(b *testing.B, kinds []string, measure func(i int) time.Duration) {
	all := make([][]time.Duration, len(kinds))
	for range rounds + 1 {
		for i := range kinds {
			all[i] = append(all[i], measure(i))
		}
	}
	b.ReportMetric(0, "ns/op")
	var bare float64
	for i, kind := range kinds {
		least := float64(slices.Min(all[i][1:])) / perRound // the first round is for warming up
		name := strings.TrimPrefix(kind, "grpc ")
		b.ReportMetric(least, name+"-ns")
		if i == 0 {
			bare = least
		} else {
			b.ReportMetric(least/bare, name+"/bare")
		}
	}
}
