package ring

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
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
	_, _ = conn.Write(appendFrame(forged, 1, opAsk, putBytes(putU64(nil, 0), "secret")))
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
	d := newCluster(t).d
	for name, c := range map[string]struct {
		opts []Option
		want string // in the error; "": none
	}{
		"no key":     {nil, "key"},
		"nil":        {[]Option{nil}, "option 1 is nil"},
		"short key":  {[]Option{WithKey(make([]byte, 15))}, "a key of 15 bytes"},
		"key":        {[]Option{WithKey(make([]byte, 16))}, ""},
		"none":       {[]Option{WithKey(testKey), WithReplicas(0)}, "0 replicas"},
		"replicas":   {[]Option{WithKey(testKey), WithReplicas(8)}, ""},
		"many":       {[]Option{WithKey(testKey), WithReplicas(9)}, "9 replicas"},
		"few bytes":  {[]Option{WithKey(testKey), WithMaxBytes(1<<20 - 1)}, "1048575 bytes"},
		"bytes":      {[]Option{WithKey(testKey), WithMaxBytes(1 << 20)}, ""},
		"TLS":        {[]Option{WithKey(testKey), WithTLS(nil)}, "nil TLS"},
		"detection":  {[]Option{WithKey(testKey), WithDetection(0)}, "0s"},
		"no logger":  {[]Option{WithKey(testKey), WithLogger(nil)}, "nil logger"},
		"its logger": {[]Option{WithKey(testKey), WithLogger(slog.New(slog.DiscardHandler))}, ""},
	} {
		n, err := New(d, "cells", "x", c.opts...)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			n.Close()
		} else if !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", name, err, c.want)
		}
	}
	if _, err := kv.New(Backend(nil)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("Backend(nil): %v, want ErrInvalid", err)
	}
}

func in(b []byte) *frames {
	return &frames{r: bufio.NewReaderSize(bytes.NewReader(b), bufferSize)}
}

func TestATooLongFrameIsRefusedBeforeItIsRead(t *testing.T) {
	for _, n := range []uint32{0, 4, maxFrame + 1, 1<<32 - 1} {
		if _, _, _, err := in(append(putU32(nil, n), make([]byte, 100)...)).next(); !errors.Is(err, errFrame) {
			t.Errorf("a length of %d: %v, want a malformed frame", n, err)
		}
	}
}

func TestFramesOfAllSizesComeAsTheyWent(t *testing.T) {
	var sent []byte
	sizes := []int{0, 1, 100, bufferSize - headSize, bufferSize - headSize + 1, 1 << 20, 0, 7, maxFrame - 5}
	for i, n := range sizes {
		sent = appendFrame(sent, uint32(i), byte(i), bytes.Repeat([]byte{byte(i)}, n))
	}
	f := in(sent)
	for i, n := range sizes {
		id, op, body, err := f.next()
		if err != nil || int(id) != i || int(op) != i || !bytes.Equal(body, bytes.Repeat([]byte{byte(i)}, n)) {
			t.Fatalf("frame %d of %d bytes came as %d, %d, %d bytes, %v", i, n, id, op, len(body), err)
		}
	}
	if _, _, _, err := f.next(); err != io.EOF {
		t.Errorf("behind the last: %v, want io.EOF", err)
	}
	f = in(sent[:2*headSize+1+3]) // two frames and a piece of the third
	if _, _, _, err := f.next(); err != nil || !f.ready() {
		t.Errorf("a whole frame is there: ready is %v, %v", f.ready(), err)
	}
	if _, _, _, err := f.next(); err != nil || f.ready() {
		t.Errorf("a piece is there: ready is %v, %v", f.ready(), err)
	}
}

// FuzzFrames lets anything in as a peer's request: no panic, and what is
// answered can be read.
func FuzzFrames(f *testing.F) {
	w := write{Write: kv.Write{Key: "k", Value: []byte("v")}, kind: kindPut}
	f.Add(opWrite, putWrite(putU32(nil, 100), w))
	f.Add(opGet, putBytes(putU32(nil, 100), "k"))
	f.Add(opAsk, putBytes(putU64(nil, 1), "k"))
	f.Add(opApply, putRecord(putBytes(putU64(putU64(nil, 1), 2), "k"), record{value: []byte("v"), version: 3}))
	f.Add(opSync, putU64(putU16(cursor{slices: 1}.put(putU64(nil, 1)), 1), 7))
	f.Add(opFetch, putBytes(nil, "k"))
	f.Add(opFetch, []byte{255, 255, 255, 255})
	f.Add(opMany, putBytes(putBytes(putU32(nil, 100), "k"), "l"))
	c := newCluster(f, "alone")
	n := c.nodes["alone"]
	f.Fuzz(func(t *testing.T, op byte, body []byte) {
		given := bytes.Clone(body)
		reply, ok := n.now(beginFrame([]byte("before"), 7, stOK), op, given)
		if !ok {
			status, rest := n.branch(t.Context(), op, given)
			reply = append(beginFrame([]byte("before"), 7, status), rest...)
		}
		if !bytes.HasPrefix(reply, []byte("before")) {
			t.Fatalf("what was before the answer is now %q", reply)
		}
		id, status, back, err := in(endFrame(reply, len("before"))[len("before"):]).next()
		if err != nil || id != 7 || !bytes.Equal(back, reply[len("before")+headSize:]) {
			t.Errorf("%d %d %q, %v came back for %d %q", id, status, back, err, op, body)
		}
		if !bytes.Equal(given, body) {
			t.Errorf("the request was changed from %q to %q", body, given)
		}
		r := &reader{b: given}
		if rec := r.record(); !r.bad {
			if again := (&reader{b: putRecord(nil, rec)}).record(); !reflect.DeepEqual(again, rec) {
				t.Errorf("%+v came back as %+v", rec, again)
			}
		}
		_, _, _, _ = in(body).next()
	})
}
