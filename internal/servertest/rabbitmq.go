package servertest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rabbitScript starts a port mapper of the node's own and the node. The shell stays, so that both
// are below it and end with it. A node that finds no mapper starts one that outlives everything.
const rabbitScript = `"$1" -port "$ERL_EPMD_PORT" -address 127.0.0.1 & mapper=$!
until "$1" -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do kill -0 $mapper || exit 1; sleep 0.02; done
"$2" & node=$!
trap 'kill $node' TERM
while kill -0 $node 2>/dev/null; do wait $node; done
kill $mapper; wait $mapper`

// RabbitMQ starts a RabbitMQ node: user guest with password guest, and user stranger with password
// stranger, who may do nothing; virtual hosts / and team. It keeps its queues over Restart.
func RabbitMQ(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	home := rabbitHome()
	return start(t, o, spec{
		name: "rabbitmq", part: "rabbitmq", program: "bash", files: []string{rabbitErlang("epmd"), home + "/sbin/rabbitmq-server"},
		ports: []string{"amqp", "epmd", "dist"}, secure: "amqp", dsn: "amqp://guest:guest@%s",
		prepare: func(s *Server) error { return prepareRabbit(s, o) },
		args: func(s *Server) []string {
			return []string{"-c", rabbitScript, "rabbitmq", rabbitErlang("epmd"), home + "/sbin/rabbitmq-server"}
		},
		envOf: rabbitEnv,
		ready: speaksAMQP, kept: true,
		limit: 3 * time.Minute, // it takes seconds of processor time
	})
}

// SharedRabbitMQ returns the test binary's RabbitMQ node.
func SharedRabbitMQ(t testing.TB) *Server {
	t.Helper()
	return share(t, "rabbitmq", RabbitMQ)
}

// RabbitEval has a node evaluate Erlang expressions, "A = 1, A + 1.", and returns the value of the
// last. It takes milliseconds, where rabbitmqctl would take seconds.
func RabbitEval(t testing.TB, s *Server, expressions string) string {
	t.Helper()
	dir, err := newDir("erl_call")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cookie, err := os.ReadFile(filepath.Join(s.dir, ".erlang.cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(dir, "expressions", expressions+"\n"); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(filepath.Join(dir, "expressions"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	p := process{name: "erl_call", dir: dir}
	err = p.finish(command{
		path: rabbitErlang("erl_call"), args: []string{"-address", "localhost:" + strconv.Itoa(s.Port("dist")), "-c", string(cookie), "-r", "-e"},
		env: rabbitEnv(s), stdin: stdin,
	})
	value, ok := strings.CutPrefix(p.Log(), "{ok, ")
	if err != nil || !ok {
		t.Fatalf("servertest: %s: %v\n%s", expressions, err, p.Log())
	}
	return strings.TrimSuffix(strings.TrimSpace(value), "}")
}

func rabbitHome() string {
	dirs, _ := filepath.Glob(filepath.Join(Cache(), "rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*"))
	if len(dirs) == 0 {
		return filepath.Join(Cache(), "rabbitmq")
	}
	return dirs[len(dirs)-1]
}

// rabbitCode is the folder of the broker's own modules. Erlang looks there first: it asks each folder
// that it knows for each module, and starting takes twice as long when this one is among the last.
func rabbitCode() string {
	dirs, _ := filepath.Glob(rabbitHome() + "/plugins/rabbit-[0-9]*/ebin")
	return strings.Join(dirs, "")
}

func rabbitErlang(program string) string {
	return filepath.Join(Cache(), "rabbitmq/usr/lib/erlang/bin", program)
}

// rabbitEnv names all files and ports of a node. Its port mapper is its own, so that nodes of
// several test binaries don't meet.
func rabbitEnv(s *Server) []string {
	return append(libraries(rabbitErlang("epmd")),
		"PATH="+filepath.Dir(rabbitErlang("erl"))+":"+os.Getenv("PATH"),
		"HOME="+s.dir, "LC_ALL=C.UTF-8",
		"ERL_EPMD_PORT="+strconv.Itoa(s.Port("epmd")), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME="+filepath.Base(s.dir)+"@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT="+strconv.Itoa(s.Port("amqp")), "RABBITMQ_DIST_PORT="+strconv.Itoa(s.Port("dist")),
		"RABBITMQ_MNESIA_BASE="+s.dir+"/data", "RABBITMQ_LOG_BASE="+s.dir, "RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+s.dir+"/plugins", "RABBITMQ_CONF_ENV_FILE="+s.dir+"/env.conf",
		"RABBITMQ_CONFIG_FILE="+s.dir+"/rabbitmq",
		"RABBITMQ_SERVER_CODE_PATH="+rabbitCode(), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
	)
}

func prepareRabbit(s *Server, o options) error {
	conf := []string{
		"log.console.level = warning", "disk_free_limit.absolute = 1MB", "vm_memory_high_watermark.absolute = 1GB",
		"raft.wal_max_size_bytes = 33554432", "load_definitions = " + s.dir + "/definitions.json",
	}
	if o.tls != nil {
		conf = append(conf, "listeners.tcp = none", "listeners.ssl.default = 127.0.0.1:"+strconv.Itoa(s.Port("amqp")),
			"ssl_options.cacertfile = "+o.tls.CAFile, "ssl_options.certfile = "+o.tls.ServerCert, "ssl_options.keyfile = "+o.tls.ServerKeyFile,
			"ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true")
	}
	conf = append(conf, o.conf...)
	for name, text := range map[string]string{
		"rabbitmq.conf": strings.Join(conf, "\n") + "\n", "plugins": "[].\n", "env.conf": "",
		"definitions.json": `{"users":[{"name":"guest","password":"guest","tags":"administrator"},{"name":"stranger","password":"stranger","tags":""}],
"vhosts":[{"name":"/"},{"name":"team"}],
"permissions":[{"user":"guest","vhost":"/","configure":".*","write":".*","read":".*"},{"user":"guest","vhost":"team","configure":".*","write":".*","read":".*"},
{"user":"stranger","vhost":"/","configure":"^$","write":"^$","read":"^$"}]}`,
	} {
		if err := write(s.dir, name, text); err != nil {
			return err
		}
	}
	return nil
}

// speaksAMQP sends AMQP's protocol header and expects the frame that begins a connection.
func speaksAMQP(s *Server) error {
	c, err := s.dial("amqp")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	var frame [1]byte
	if _, err := io.ReadFull(c, frame[:]); err != nil {
		return err
	}
	if frame[0] != 1 {
		return fmt.Errorf("answer to the protocol header begins with %d, want a method frame", frame[0])
	}
	return nil
}
