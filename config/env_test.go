package config_test

import (
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

func TestEnvironmentAndFlagsBecomeWhatIsAskedFor(t *testing.T) {
	t.Setenv("APPT_SERVER__MAX_CONNS", "10")
	t.Setenv("APPT_SERVER__TIMEOUT", "5s")
	t.Setenv("APPT_SERVER__TLS", "true")
	t.Setenv("APPT_HOSTS", "a, b")
	t.Setenv("APPT_LIMITS", `{"x":1}`)
	t.Setenv("APPT_PORT", "08080")
	t.Setenv("APPT", "not a key")
	t.Setenv("APPT_", "nor this")
	t.Setenv("APPTX_Y", "another program's")
	t.Setenv("LISTEN_ON", ":80")
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	fs.String("server.addr", "unset flags say nothing", "")
	fs.Int("server.max-conns", 0, "")
	if err := fs.Parse([]string{"-server.max-conns=20"}); err != nil {
		t.Fatal(err)
	}
	env := config.WithSource(config.Env("APPT", map[string]string{"LISTEN_ON": "server.listen"}))
	c, err := config.New(env, config.WithSource(config.Flags(fs)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got struct {
		Server struct {
			MaxConns int
			Timeout  time.Duration
			TLS      bool
			Listen   string
		}
		Hosts  []string
		Limits map[string]int
		Port   string
	}
	if err := c.Get("").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got.Server.MaxConns != 20 || got.Server.Timeout != 5*time.Second || !got.Server.TLS || got.Server.Listen != ":80" ||
		!reflect.DeepEqual(got.Hosts, []string{"a", "b"}) || got.Limits["x"] != 1 || got.Port != "08080" {
		t.Errorf("got %+v", got)
	}
	if c.Get("server.max_conns").Int(0) != 20 || !c.Get("server.tls").Bool(false) || c.Get("server.timeout").Duration(0) != 5*time.Second {
		t.Errorf("getters: %v", c.Get("server"))
	}
	if o, _ := c.Snapshot().Origin("server.max_conns"); o.Source != "flags" {
		t.Errorf("Origin: got %v, want flags", o)
	}
}

func TestVariablesThatContradictEachOtherAreAnError(t *testing.T) {
	t.Setenv("APPT_A", "1")
	t.Setenv("APPT_A__B", "2")
	if _, err := config.New(config.WithSource(config.Env("APPT"))); !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), "APPT_A__B") {
		t.Errorf("got %v, want ErrInvalid that names the variable", err)
	}
}
