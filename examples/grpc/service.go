package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A notesServer is what a program usually gets from protoc, as the rest of this file:
//
//	service Notes {
//	  rpc Add(google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	  rpc Follow(google.protobuf.Empty) returns (stream google.protobuf.StringValue);
//	  rpc Echo(stream google.protobuf.StringValue) returns (stream google.protobuf.StringValue);
//	}
type notesServer interface {
	Add(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
	Follow(*emptypb.Empty, grpc.ServerStreamingServer[wrapperspb.StringValue]) error
	Echo(grpc.BidiStreamingServer[wrapperspb.StringValue, wrapperspb.StringValue]) error
}

var serviceDesc = grpc.ServiceDesc{
	ServiceName: "acme.Notes",
	HandlerType: (*notesServer)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Add", Handler: addHandler}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Follow", Handler: followHandler, ServerStreams: true},
		{StreamName: "Echo", Handler: echoHandler, ServerStreams: true, ClientStreams: true},
	},
}

func addHandler(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.StringValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, in any) (any, error) {
		return srv.(notesServer).Add(ctx, in.(*wrapperspb.StringValue))
	}
	if interceptor == nil {
		return handler(ctx, in)
	}
	return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/acme.Notes/Add"}, handler)
}

func followHandler(srv any, stream grpc.ServerStream) error {
	in := new(emptypb.Empty)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	return srv.(notesServer).Follow(in, &grpc.GenericServerStream[emptypb.Empty, wrapperspb.StringValue]{ServerStream: stream})
}

func echoHandler(srv any, stream grpc.ServerStream) error {
	return srv.(notesServer).Echo(&grpc.GenericServerStream[wrapperspb.StringValue, wrapperspb.StringValue]{ServerStream: stream})
}
