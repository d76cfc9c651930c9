/* gchost.h - see mscoree.h */
#ifndef __gchost_h__
#define __gchost_h__

typedef enum { COR_GC_COUNTS = 0x1, COR_GC_MEMORYUSAGE = 0x2 } COR_GC_STAT_TYPES;
typedef struct _COR_GC_STATS {
    ULONG Flags;
    SIZE_T ExplicitGCCount, GenCollectionsTaken[3], CommittedKBytes, ReservedKBytes;
    SIZE_T Gen0HeapSizeKBytes, Gen1HeapSizeKBytes, Gen2HeapSizeKBytes, LargeObjectHeapSizeKBytes;
    SIZE_T KBytesPromotedFromGen0, KBytesPromotedFromGen1;
} COR_GC_STATS;

#endif
