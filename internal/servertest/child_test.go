package servertest

import (
	"strings"
	"testing"
	"time"
)

func TestChildTalks(t *testing.T) {
	p := Child(t, "echo", "a", "b c")
	if got, want := p.Line(), "a b c"; got != want {
		t.Errorf("arguments: got %q, want %q", got, want)
	}
	p.Send("hello")
	if got, want := p.Line(), "hello"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, ok := p.TryLine(10 * time.Millisecond); ok {
		t.Errorf("got %q, want nothing", got)
	}
	p.Send("still there")
	if got, want := p.Line(), "still there"; got != want {
		t.Errorf("after a time-out: got %q, want %q", got, want)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after the end of its input: %v", err)
	}
}

func TestChildPrintsInParts(t *testing.T) {
	p := Child(t, "slow")
	eventually(t, "the first part is here", func() bool {
		if got, ok := p.TryLine(time.Millisecond); ok {
			t.Fatalf("got a whole line %q", got)
		}
		return p.part != ""
	})
	p.Send("go on")
	if got, want := p.Line(), "first second"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChildPausesAndResumes(t *testing.T) {
	p := Child(t, "echo")
	p.Line()
	p.Pause()
	p.Send("held")
	if got, ok := p.TryLine(100 * time.Millisecond); ok {
		t.Errorf("a paused process printed %q", got)
	}
	p.Resume()
	if got, want := p.Line(), "held"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChildDies(t *testing.T) {
	p := Child(t, "echo")
	p.Line()
	p.Kill()
	if p.Running() || p.PID() != 0 {
		t.Errorf("after Kill: got running %v, pid %d; want neither", p.Running(), p.PID())
	}
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want an error that says that it was killed", err)
	}
	p = Child(t, "echo")
	p.Line()
	p.Terminate()
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("got %v, want an error that says that it was terminated", err)
	}
}

func TestChildFails(t *testing.T) {
	for role, want := range map[string]string{"fail": "on purpose", "nonsense": `no role is called "nonsense"`} {
		p := Child(t, role)
		if err := p.Wait(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that says %q", role, err, want)
		}
	}
}
