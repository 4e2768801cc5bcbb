package redis

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestALateInterruptMeetsNobody: a call may end when another one has its
// connection already.
func TestALateInterruptMeetsNobody(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	cs := &calls{}
	l := &link{Conn: a, calls: cs}
	deadline := time.Now().Add(time.Minute)
	first, endFirst := cs.begin(context.Background(), deadline)
	second, endSecond := cs.begin(context.Background(), deadline)
	defer endFirst()
	defer endSecond()
	if first.deadline.Equal(second.deadline) {
		t.Fatal("two calls have one deadline")
	}
	use := func(c *call) {
		if err := l.SetWriteDeadline(c.deadline); err != nil {
			t.Fatal(err)
		}
		if err := l.SetReadDeadline(c.deadline); err != nil {
			t.Fatal(err)
		}
	}
	use(first)
	use(second)
	first.interrupt()
	go func() { _, _ = b.Write([]byte("x")); _, _ = b.Read(make([]byte, 1)) }()
	if _, err := l.Read(make([]byte, 1)); err != nil {
		t.Errorf("the second call's Read: %v", err)
	}
	if _, err := l.Write([]byte("x")); err != nil {
		t.Errorf("the second call's Write: %v", err)
	}
	second.interrupt()
	if _, err := l.Read(make([]byte, 1)); err == nil {
		t.Error("the second call is not interrupted")
	}
	use(first) // has ended before it gets a connection
	if _, err := l.Read(make([]byte, 1)); err == nil {
		t.Error("a call that has ended waits")
	}
}
