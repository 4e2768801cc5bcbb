package ring

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
)

func TestAPeerWithoutTheKeyIsRefused(t *testing.T) {
	leak.Check(t)
	c := newCluster(t, "a", "b")
	address := c.nodes["a"].server.Listener.Addr().String()
	c.nodes["a"].put(t, "secret", "value")

	// A node with another key neither gets in nor is believed.
	other := c.start("x", WithKey([]byte("another key, of a stranger")))
	l := &link{n: other.Node, id: "a", address: address}
	if conn, _, err := l.dial(t.Context()); err == nil {
		conn.Close()
		t.Error("a node with another key took the server's proof for good")
	}

	// A client that sends anything for a proof and then asks gets no answer.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	req, _ := http.NewRequest(http.MethodGet, "http://"+address+"/.ring", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	req.Header.Set(fromHeader, "b")
	req.Header.Set(nonceHeader, nonce())
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", resp, err)
	}
	forged := make([]byte, 32)
	_, _ = conn.Write(appendFrame(forged, 1, opAsk, putBytes(nil, "secret")))
	if got, _ := io.ReadAll(r); len(got) > 0 {
		t.Errorf("a peer without the key got %q", got)
	}

	// The server's own proof, sent back, opens nothing.
	mine, theirs := "1", "2"
	if bytes.Equal(proof(testKey, "server", "s", "a", "b", mine, theirs), proof(testKey, "client", "s", "a", "b", mine, theirs)) {
		t.Error("a proof can be reflected")
	}

	if resp, err := http.Get("http://" + address + "/.ring"); err != nil || resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain request: %v, %v, want 426", resp, err)
	} else {
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestBadOptionsAreRefused(t *testing.T) {
	c := newCluster(t)
	for name, opts := range map[string][]Option{
		"no key": nil, "nil": {nil}, "short key": {WithKey([]byte("short"))}, "path": {WithKey(testKey), WithPath("x")},
		"replicas": {WithKey(testKey), WithReplicas(0)}, "bytes": {WithKey(testKey), WithMaxBytes(1)}, "tls": {WithKey(testKey), WithTLS(nil)},
		"detection": {WithKey(testKey), WithDetection(0)}, "dial": {WithDial(nil)}, "logger": {WithLogger(nil)},
	} {
		if _, err := New(c.d, "cells", "x", opts...); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := kv.New(Backend(nil)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("Backend(nil): %v, want ErrInvalid", err)
	}
}

func TestATooLongFrameIsRefusedBeforeItIsRead(t *testing.T) {
	_, _, _, err := readFrame(bufio.NewReader(bytes.NewReader(putU32(nil, maxFrame+1))))
	if err == nil {
		t.Fatal("no error")
	}
	b := append(putU32(nil, maxFrame+1), make([]byte, 100)...)
	if _, _, _, err := readFrame(bufio.NewReader(bytes.NewReader(b))); !errors.Is(err, errFrame) {
		t.Errorf("got %v, want a malformed frame", err)
	}
}

// FuzzFrames lets anything in as a peer's request: no panic, and what is
// answered can be read.
func FuzzFrames(f *testing.F) {
	w := write{Write: kv.Write{Key: "k", Value: []byte("v")}, kind: kindPut}
	f.Add(opWrite, putWrite(putU32(nil, 100), w))
	f.Add(opGet, putBytes(putU32(nil, 100), "k"))
	f.Add(opAsk, putBytes(nil, "k"))
	f.Add(opApply, putRecord(putBytes(putU64(putU64(nil, 1), 2), "k"), record{value: []byte("v"), version: 3}))
	f.Add(opSync, putU64(putU16(putBytes(putU16(putU64(nil, 1), 0), ""), 1), 7))
	f.Add(opFetch, putBytes(nil, "k"))
	f.Add(opFetch, []byte{255, 255, 255, 255})
	c := newCluster(f, "alone")
	n := c.nodes["alone"]
	f.Fuzz(func(t *testing.T, op byte, body []byte) {
		n.leaf(op, bytes.Clone(body))
		if op == opGet {
			n.getNow(bytes.Clone(body))
		}
		status, reply := n.branch(t.Context(), op, bytes.Clone(body))
		id, got, back, err := readFrame(bufio.NewReader(bytes.NewReader(appendFrame(nil, 7, status, reply))))
		if err != nil || id != 7 || got != status || !bytes.Equal(back, reply) {
			t.Errorf("%d %d %q, %v came back for %d %q", id, got, back, err, status, reply)
		}
		r := &reader{b: bytes.Clone(body)}
		if rec := r.record(); !r.bad {
			if again := (&reader{b: putRecord(nil, rec)}).record(); again.version != rec.version || !bytes.Equal(again.value, rec.value) {
				t.Errorf("%+v came back as %+v", rec, again)
			}
		}
	})
}
