module github.com/micro/go-platform/interop/connect

go 1.26.8

replace github.com/micro/go-platform => ../..

require (
	connectrpc.com/connect v1.21.1
	github.com/micro/go-platform v0.0.0
	google.golang.org/protobuf v1.36.12
)

require github.com/klauspost/compress v1.20.1
