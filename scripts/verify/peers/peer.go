// SPDX-License-Identifier: Apache-2.0

// A gRPC peer in Go for scripts/verify/peers.py: `peer server PORT` or `peer client HOST:PORT`.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const service = "/propagating.proxy.Interop/"

// Messages are bytes as they are; the name is the one under which both sides look for a codec.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = append([]byte{}, data...); return nil }
func (raw) Name() string                               { return "proto" }

func main() {
	encoding.RegisterCodec(raw{})
	if os.Args[1] == "server" {
		serve(os.Args[2])
	} else {
		call(os.Args[2])
	}
}

func serve(port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(handle))
	fmt.Println("serving")
	panic(server.Serve(listener))
}

func receive(stream grpc.ServerStream) ([]byte, error) {
	var message []byte
	err := stream.RecvMsg(&message)
	return message, err
}

func handle(_ interface{}, stream grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(stream)
	switch strings.TrimPrefix(name, service) {
	case "Echo":
		message, err := receive(stream)
		if err != nil {
			return err
		}
		incoming, _ := metadata.FromIncomingContext(stream.Context())
		initial, trailing := metadata.MD{}, metadata.MD{}
		for key, values := range incoming {
			if strings.HasPrefix(key, "x-case-echo") {
				initial["x-case-initial"+key[11:]] = values
				trailing["x-case-trailing"+key[11:]] = values
			}
		}
		_ = stream.SetHeader(initial)
		stream.SetTrailer(trailing)
		return stream.SendMsg(&message)
	case "Fail":
		message, err := receive(stream)
		if err != nil {
			return err
		}
		var wish struct {
			Code    uint32
			Details string
		}
		_ = json.Unmarshal(message, &wish)
		return status.Error(codes.Code(wish.Code), wish.Details)
	case "Sleep":
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-time.After(time.Minute):
			return nil
		}
	case "Collect":
		count, size := 0, 0
		for {
			message, err := receive(stream)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			count, size = count+1, size+len(message)
		}
		text := []byte(fmt.Sprintf("%d messages, %d bytes", count, size))
		return stream.SendMsg(&text)
	case "Spread":
		message, err := receive(stream)
		if err != nil {
			return err
		}
		var sizes []int
		_ = json.Unmarshal(message, &sizes)
		for _, size := range sizes {
			piece := make([]byte, size)
			if err := stream.SendMsg(&piece); err != nil {
				return err
			}
		}
		return nil
	case "Talk":
		for {
			message, err := receive(stream)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}
	return status.Error(codes.Unimplemented, "unknown method")
}

func tell(name string, err error, further map[string]interface{}) {
	line := map[string]interface{}{"case": name, "code": uint32(status.Code(err))}
	if err != nil && err != io.EOF {
		line["details"] = status.Convert(err).Message()
	}
	for key, value := range further {
		line[key] = value
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

func call(target string) {
	connection, err := grpc.Dial(target, grpc.WithInsecure(), grpc.WithBlock())
	if err != nil {
		panic(err)
	}
	all, cancelAll := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancelAll()

	request, answer := []byte(strings.Repeat("u", 300000)), []byte{}
	err = connection.Invoke(all, service+"Echo", &request, &answer)
	tell("unary", err, map[string]interface{}{"size": len(answer)})

	var header, trailer metadata.MD
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	outgoing := metadata.AppendToOutgoingContext(all, "x-case-echo-text", "two,  three", "x-case-echo-bin", string(every))
	err = connection.Invoke(outgoing, service+"Echo", &request, &answer, grpc.Header(&header), grpc.Trailer(&trailer))
	one := func(md metadata.MD, key string) string { return strings.Join(md[key], "|") }
	tell("metadata", err, map[string]interface{}{
		"initial":  []string{one(header, "x-case-initial-text"), hex.EncodeToString([]byte(one(header, "x-case-initial-bin")))},
		"trailing": []string{one(trailer, "x-case-trailing-text"), hex.EncodeToString([]byte(one(trailer, "x-case-trailing-bin")))},
	})

	stream, err := connection.NewStream(all, &grpc.StreamDesc{ServerStreams: true}, service+"Spread")
	sizes := []int{}
	if err == nil {
		request := []byte("[31415, 9, 2653, 0]")
		_ = stream.SendMsg(&request)
		_ = stream.CloseSend()
		for {
			var message []byte
			if err = stream.RecvMsg(&message); err != nil {
				break
			}
			sizes = append(sizes, len(message))
		}
	}
	tell("server_streaming", ended(err), map[string]interface{}{"sizes": sizes})

	stream, err = connection.NewStream(all, &grpc.StreamDesc{ClientStreams: true}, service+"Collect")
	answer = nil
	if err == nil {
		for _, size := range []int{27182, 8, 1828, 45904} {
			message := make([]byte, size)
			_ = stream.SendMsg(&message)
		}
		_ = stream.CloseSend()
		err = stream.RecvMsg(&answer)
	}
	tell("client_streaming", err, map[string]interface{}{"text": string(answer)})

	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err = connection.NewStream(all, both, service+"Talk")
	right := 0
	if err == nil {
		for i := 0; i < 20 && err == nil; i++ {
			message := []byte(fmt.Sprintf("message %d", i))
			_ = stream.SendMsg(&message)
			var echo []byte
			if err = stream.RecvMsg(&echo); err == nil && string(echo) == string(message) {
				right++
			}
		}
		_ = stream.CloseSend()
		if err == nil {
			err = stream.RecvMsg(&answer)
		}
	}
	tell("ping_pong", ended(err), map[string]interface{}{"right": right})

	wish := []byte(`{"code": 9, "details": "naïve ☃ 你好 100 %"}`)
	tell("failure", connection.Invoke(all, service+"Fail", &wish, &answer), nil)

	one_, cancel := context.WithCancel(all)
	stream, err = connection.NewStream(one_, both, service+"Talk")
	if err == nil {
		message := []byte("first")
		_ = stream.SendMsg(&message)
		err = stream.RecvMsg(&message)
		cancel()
		if err == nil {
			err = stream.RecvMsg(&message)
		}
	}
	cancel()
	tell("cancel", status.Error(status.Code(err), ""), nil)

	brief, cancelBrief := context.WithTimeout(all, 300*time.Millisecond)
	defer cancelBrief()
	err = connection.Invoke(brief, service+"Sleep", &wish, &answer)
	tell("deadline", status.Error(status.Code(err), ""), nil)

	err = connection.Invoke(all, service+"Nothing", &wish, &answer)
	tell("unimplemented", status.Error(status.Code(err), ""), nil)
}

func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
