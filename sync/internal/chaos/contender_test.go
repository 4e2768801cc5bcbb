package chaos

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// contend is the role of a contender: arguments backend, address, TTL, address
// of the resource, its number.
func contend(args []string) error {
	ttl, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", args[3])
	if err != nil {
		return err
	}
	r := &remote{conn: c, replies: bufio.NewReader(c)}
	if _, err := r.ask("hello %s", args[4]); err != nil {
		return err
	}
	s, err := dsync.New(backend(args[0], args[1]), dsync.WithLazy(), dsync.WithTimeout(ttl), dsync.WithDefaults(dsync.TTL(ttl)))
	if err != nil {
		return err
	}
	for {
		if err := section(s, r); err != nil {
			return err
		}
	}
}

// section is one try to take the lock and increment the counters.
func section(s dsync.Sync, r *remote) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	call := now()
	l, err := s.Lock(ctx, "x")
	granted := now()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		<-time.After(10 * time.Millisecond)
		return nil
	}
	var end atomic.Int64
	context.AfterFunc(l.Context(), func() { end.CompareAndSwap(0, now()) })
	if _, err := r.ask("grant %d %d %d", l.Token(), call, granted); err != nil {
		return err
	}
	values, err := r.ask("read %d", l.Token())
	if err != nil {
		return err
	}
	var naive, fenced int
	if _, err := fmt.Sscan(values, &naive, &fenced); err != nil {
		return err
	}
	<-time.After(time.Duration(1+rand.IntN(4)) * time.Millisecond)
	// A holder as they are met: it doesn't look at the context.
	if _, err := r.ask("write %d %d %d", l.Token(), naive+1, fenced+1); err != nil {
		return err
	}
	end.CompareAndSwap(0, now())
	if _, err := r.ask("end %d", end.Load()); err != nil { // before anyone else can be granted
		return err
	}
	if err := l.Unlock(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return nil
}

// now is the clock that all processes of the machine share.
func now() int64 { return time.Now().UnixNano() }

// remote is the resource as a contender sees it.
type remote struct {
	conn    net.Conn
	replies *bufio.Reader
}

func (r *remote) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(r.conn, format+"\n", args...); err != nil {
		return "", err
	}
	return r.replies.ReadString('\n')
}
