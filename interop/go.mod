module github.com/micro/go-platform/interop

go 1.26.8
