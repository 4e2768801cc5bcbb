package servertest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// datagram sends one packet.
func datagram(t *testing.T, addr, text string) {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// stream sends text over a connection of its own.
func stream(t *testing.T, s *Server, portName, text string) {
	t.Helper()
	c, err := s.dial(portName)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// contains accepts lines of which one holds all of want.
func contains(want ...string) func([]string) bool {
	return func(lines []string) bool {
		for _, line := range lines {
			found := 0
			for _, w := range want {
				if strings.Contains(line, w) {
					found++
				}
			}
			if found == len(want) {
				return true
			}
		}
		return false
	}
}

func TestStatsdReceivers(t *testing.T) {
	t.Run("statsd_exporter", func(t *testing.T) {
		s := SharedStatsdExporter(t)
		datagram(t, s.AddrOf("statsd"), "hits:3|c|#zone:a\nnonsense")
		eventually(t, "the counter and the error show", func() bool {
			body, err := s.get("http", "/metrics")
			return err == nil && strings.Contains(body, `hits{zone="a"} 3`) && strings.Contains(body, `statsd_exporter_sample_errors_total{reason="malformed_line"} 1`)
		})
	})
	t.Run("telegraf", func(t *testing.T) {
		s := SharedTelegraf(t)
		datagram(t, s.AddrOf("statsd"), "hits:3|c|#zone:a")
		s.Await(t, "received", contains(`"name":"hits"`, `"zone":"a"`, `"value":3`))
		stream(t, s, "json", `{"level":"info","n":1}`+"\n")
		s.Await(t, "received", contains(`"name":"line"`, `"level":"info"`))
	})
	t.Run("statsd", func(t *testing.T) {
		s := Statsd(t)
		datagram(t, s.AddrOf("statsd"), "hits:3|c")
		s.Await(t, "received", contains(`{"packet":"hits:3|c"}`))
		s.Await(t, "received", contains(`"flush"`, `"hits":3`))
	})
}

const span = `[{"traceId":"5982fe77008310cc80f1da5e10147517","id":"90394f6bcffb5d13","name":"get","timestamp":%d,"duration":1000,"localEndpoint":{"serviceName":"a"}}]`

func TestTraceReceivers(t *testing.T) {
	body := fmt.Sprintf(span, time.Now().UnixMicro())
	t.Run("collector", func(t *testing.T) {
		s := SharedCollector(t)
		if _, err := s.request(http.MethodPost, "zipkin", "/api/v2/spans", body); err != nil {
			t.Fatal(err)
		}
		s.Await(t, "received", contains(`{"traces":`, "5982fe77008310cc80f1da5e10147517"))
		datagram(t, s.AddrOf("statsd"), "hits:3|c")
		s.Await(t, "received", contains(`{"metrics":`, `"hits"`))
	})
	t.Run("zipkin", func(t *testing.T) {
		s := SharedZipkin(t)
		if _, err := s.request(http.MethodPost, "http", "/api/v2/spans", body); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the trace shows", func() bool {
			got, err := s.get("http", "/api/v2/trace/5982fe77008310cc80f1da5e10147517")
			return err == nil && strings.Contains(got, "90394f6bcffb5d13")
		})
	})
}

func TestForwardReceivers(t *testing.T) {
	// ["tag", 1, {"k": "v"}] as MessagePack, the forward protocol's message mode.
	const event = "\x93\xa3tag\x01\x81\xa1k\xa1v"
	t.Run("fluentd", func(t *testing.T) {
		s := Fluentd(t)
		stream(t, s, "forward", event)
		s.Await(t, "received", contains(`"tag":"tag"`, `"record":{"k":"v"}`))
	})
	t.Run("collector", func(t *testing.T) {
		s := SharedCollector(t)
		stream(t, s, "fluent", event)
		s.Await(t, "received", contains(`{"logs":`, `"fluent.tag"`, `"stringValue":"v"`))
	})
}

func TestRsyslog(t *testing.T) {
	s := Rsyslog(t)
	stream(t, s, "json", `{"a":{"b":[1,2]}}`+"\nno object\n")
	s.Await(t, "json", contains(`{"a":{"b":[1,2]}}`))
	s.Await(t, "bad", contains("no object"))
	const message = `<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [x@1 k="v"] text`
	datagram(t, s.AddrOf("udp"), message+" by udp")
	stream(t, s, "syslog", fmt.Sprint(len(message)+7, " ", message, " by tcp"))
	for _, way := range []string{"udp", "tcp"} {
		s.Await(t, "syslog", contains(`"msg": "text by `+way, `"hostname": "host"`, `"app-name": "app"`, `"msgid": "ID47"`, `[x@1 k=\"v\"]`))
	}
}

func TestOIDCIssuesTokens(t *testing.T) {
	s := SharedOIDC(t)
	req, err := http.NewRequest(http.MethodPost, s.DSN()+"/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}, "resource": {"urn:api:jwt"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("svc", "secret")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	rsp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, _ := io.ReadAll(rsp.Body)
	if rsp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"access_token":"ey`) {
		t.Errorf("got %s: %s, want a JWT", rsp.Status, body)
	}
}
